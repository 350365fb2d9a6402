# The program on an emulated CPU ends well, names the tier, and says what the reference says on this CPU.
set(generate ${program} generate -p "Once upon a time" -n 16 --temp 0)
execute_process(COMMAND ${generate} --backend reference OUTPUT_VARIABLE expected ERROR_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${emulator} ${generate} RESULT_VARIABLE result OUTPUT_VARIABLE got ERROR_VARIABLE statistics)
if(NOT result EQUAL 0 OR expected STREQUAL "" OR NOT got STREQUAL expected
   OR NOT statistics MATCHES "backend +cpu/${tier}\n")
  message(FATAL_ERROR "exit ${result}, '${got}' instead of '${expected}'\n${statistics}")
endif()
