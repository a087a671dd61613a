"""The floats of 16 bits and fewer by the names of ml_dtypes, and the quantizers that they equal."""

# What the types do on overflow is the quantizer's `overflow`.
TYPES = {
    "float16": "fp16",
    "bfloat16": "bf16",
    "float8_e5m2": "e5m2",
    "float8_e4m3": "float,4,3",
    "float8_e3m4": "float,3,4",
    "float8_e4m3fn": "e4m3fn,overflow=nan",
    "float8_e4m3fnuz": "e4m3fnuz,overflow=nan",
    "float8_e5m2fnuz": "e5m2fnuz,overflow=nan",
    "float8_e4m3b11fnuz": "e4m3b11fnuz,overflow=nan",
    "float6_e3m2fn": "e3m2",
    "float6_e2m3fn": "e2m3",
    "float4_e2m1fn": "e2m1",
}
