# `cmake --install` and find_package(tensorquant). The core's targets stand apart, so that a user without libtorch can have them.

include(CMakePackageConfigHelpers)
set(TENSORQUANT_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/tensorquant)

get_property(libraries GLOBAL PROPERTY TENSORQUANT_LIBRARIES)
foreach(library ${libraries})
  if(library MATCHES "_(core|data|measure)$")
    install(TARGETS ${library} EXPORT tensorquant-core ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  else()
    install(TARGETS ${library} EXPORT tensorquant-torch ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
install(EXPORT tensorquant-core NAMESPACE tensorquant:: DESTINATION ${TENSORQUANT_CMAKE_DIR})

# The headers of a part: not those of its tests, nor those that one source file alone includes. tests/consumer checks the list.
function(tensorquant_install_headers)
  foreach(part ${ARGN})
    install(DIRECTORY tensorquant/${part} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tensorquant FILES_MATCHING
            PATTERN "*.h" PATTERN "*-inl.h" EXCLUDE PATTERN "test_*.h" EXCLUDE PATTERN "*_cases.h" EXCLUDE)
  endforeach()
endfunction()

install(FILES tensorquant/tensorquant.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tensorquant)
tensorquant_install_headers(base formats kernels quantizers maps arithmetic calibration search store report sweep onnx data measure)

if(TENSORQUANT_TORCH)
  install(EXPORT tensorquant-torch NAMESPACE tensorquant:: DESTINATION ${TENSORQUANT_CMAKE_DIR})
  install(TARGETS tensorquant DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(TARGET tensorquant-mpi)
    install(TARGETS tensorquant-mpi DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
  # What draws the charts of reports, where scripts/setup.sh charts has been.
  install(DIRECTORY build/charts/ DESTINATION ${CMAKE_INSTALL_DATADIR}/tensorquant/charts OPTIONAL FILES_MATCHING
          PATTERN "node_modules" EXCLUDE PATTERN "*.min.js" PATTERN "LICENSE*")
  tensorquant_install_headers(libtorch onnx_torch models)
  install(FILES tensorquant/cli/command_line.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tensorquant/cli)
endif()

configure_package_config_file(cmake/tensorquant-config.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/tensorquant-config.cmake INSTALL_DESTINATION ${TENSORQUANT_CMAKE_DIR})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/tensorquant-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tensorquant-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/tensorquant-config-version.cmake
        DESTINATION ${TENSORQUANT_CMAKE_DIR})
