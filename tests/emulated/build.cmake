# Configures and builds kernels/ for another processor.
include(${CMAKE_CURRENT_LIST_DIR}/../support/run.cmake)
# Optimised lightly, but for the tiers' own files.
run(${CMAKE_COMMAND} -S ${source} -B ${build} -G ${generator} --toolchain ${toolchain}
    -DCMAKE_CXX_COMPILER_LAUNCHER=${launcher} -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O2)
run(${CMAKE_COMMAND} --build ${build})
