# Builds and runs program/ against nibble. way=static: this build's library, installed, moved, found through CMake
# and through pkg-config. way=shared: nibble added as a subfolder and built shared; then that, installed and found.
include(${CMAKE_CURRENT_LIST_DIR}/../support/run.cmake)

# Configures, builds and runs the program in a folder of its own.
function(try_consumer name)
  run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/program -B ${work}/${name} -G ${generator}
      -DCMAKE_CXX_COMPILER=${compiler} -DCMAKE_CXX_COMPILER_LAUNCHER=${launcher} -DCMAKE_BUILD_TYPE=Release ${ARGN})
  run(${CMAKE_COMMAND} --build ${work}/${name})
  run(${work}/${name}/consumer ${model})
endfunction()

# Installs a build, moves the result elsewhere, and uses it from there.
function(try_installed name build_folder)
  run(${CMAKE_COMMAND} --install ${build_folder} --prefix ${work}/first)
  file(RENAME ${work}/first ${work}/prefix)
  try_consumer(${name} -DCMAKE_PREFIX_PATH=${work}/prefix)
endfunction()

file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})
if(way STREQUAL "static")
  try_installed(installed ${build})
  file(GLOB_RECURSE pc ${work}/prefix/nibble.pc)
  get_filename_component(pc_folder ${pc} DIRECTORY)
  set(ENV{PKG_CONFIG_PATH} ${pc_folder})
  run(sh -c "${compiler} -std=c++20 ${CMAKE_CURRENT_LIST_DIR}/program/main.cpp -o ${work}/through_pkg_config \
             $(pkg-config --static --cflags --libs nibble)")
  run(${work}/through_pkg_config ${model})
else()
  # Not optimised, one tier, one GPU architecture where CUDA is part of it: what is tried here is how the pieces
  # join, not how fast they are.
  try_consumer(subfolder -DNIBBLE_FOLDER=${source} -DBUILD_SHARED_LIBS=ON -DNIBBLE_INSTALL=ON
               -DNIBBLE_CUDA=${cuda} -DNIBBLE_CUDA_ARCHITECTURES=90a -DCMAKE_CXX_FLAGS_RELEASE=-O0
               -DNIBBLE_CPU_TIERS=portable -DNIBBLE_CPU_TIER_OPTIONS=-O1 -DNIBBLE_PRECOMPILED_HEADERS=ON)
  try_installed(installed ${work}/subfolder/nibble)
  file(GLOB_RECURSE library ${work}/prefix/libnibble.so)
  run(test -f ${library})
  run(sh -c "! nm -D --defined-only ${library} | grep -v -e ' _Z[A-Z]*6nibble' -e ' A '")
endif()
