// Charts against Vega-Lite's schema: a JSON array of specifications on stdin; on stdout an array with what is wrong with each, null if nothing.
// Usage: node valid_charts.mjs CHARTS, the folder that scripts/setup.sh has filled
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const modules = join(process.argv[2], "node_modules");
const { default: Ajv } = createRequire(import.meta.url)(join(modules, "ajv"));
const schema = JSON.parse(readFileSync(join(modules, "vega-lite", "build", "vega-lite-schema.json"), "utf8"));

const ajv = new Ajv({ strict: false });
ajv.addFormat("color-hex", /^#([0-9a-f]{3}){1,2}$/i);
for (const format of ["uri", "uri-reference"]) ajv.addFormat(format, (text) => URL.canParse(text, "file:///"));
const isValid = ajv.compile(schema);

const charts = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(charts.map((chart) => (isValid(chart) ? null : ajv.errorsText(isValid.errors.slice(0, 5))))));
