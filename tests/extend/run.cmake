# Adds the toys to a copy of the library, builds it, and runs program/ on it.
include(${CMAKE_CURRENT_LIST_DIR}/../support/run.cmake)
set(copy ${work}/nibble)

# Inserts one line before the first line that begins with `anchor`.
function(add_line list anchor line)
  file(READ ${copy}/${list} text)
  string(FIND "\n${text}" "\n${anchor}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${list} has no line that begins with '${anchor}'")
  endif()
  string(SUBSTRING "${text}" 0 ${at} before)
  string(SUBSTRING "${text}" ${at} -1 after)
  file(WRITE ${copy}/${list} "${before}${line}\n${after}")
endfunction()

file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${copy})
set(parts CMakeLists.txt cmake include src kernels)
foreach(part IN LISTS parts)
  file(COPY ${source}/${part} DESTINATION ${copy})
endforeach()

file(COPY ${CMAKE_CURRENT_LIST_DIR}/toy.hpp DESTINATION ${copy}/include/nibble/arch)
file(COPY ${CMAKE_CURRENT_LIST_DIR}/toy4.hpp DESTINATION ${copy}/include/nibble/quant)
file(COPY ${CMAKE_CURRENT_LIST_DIR}/toy DESTINATION ${copy}/kernels/cpu)
add_line(include/nibble/arch/all.hpp "#include" "#include \"nibble/arch/toy.hpp\"")
add_line(include/nibble/quant/formats.hpp "#include \"nibble/quant/q" "#include \"nibble/quant/toy4.hpp\"")
add_line(kernels/cpu/CMakeLists.txt "nibble_cpu_tier(portable" "nibble_cpu_tier(toy)")

# The lines of the lists are all that differs from the source tree.
set(changed 0)
foreach(part IN LISTS parts)
  execute_process(COMMAND diff -r ${source}/${part} ${copy}/${part} OUTPUT_VARIABLE differences)
  string(REGEX MATCHALL "\n[<>] [^\n]*" lines "\n${differences}")
  list(LENGTH lines n_lines)
  math(EXPR changed "${changed} + ${n_lines}")
endforeach()
if(NOT changed EQUAL 3)
  message(FATAL_ERROR "${changed} lines of existing files differ; three lists have one line more each")
endif()

# Not optimised, few tiers: what is tried here is whether the pieces join.
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/program -B ${work}/build -G ${generator} -DEXTENDED_NIBBLE=${copy}
    -DCMAKE_CXX_COMPILER=${compiler} -DCMAKE_CXX_COMPILER_LAUNCHER=${launcher} -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_CXX_FLAGS_RELEASE=-O0 "-DNIBBLE_CPU_TIERS=avx2\;neon\;toy\;portable" -DNIBBLE_CPU_TIER_OPTIONS=-O1
    -DNIBBLE_PRECOMPILED_HEADERS=ON)
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/extended ${model} ${work}/toy.gguf)
