# The compiled libraries behind nibble: Threads::Threads, nibble::pcre2-8, nibble::utf8proc.
# Used by nibble's own build and by the installed package; NIBBLE_LIBRARIES_MISSING names what was not found.
set(NIBBLE_LIBRARIES_MISSING "")

# Global, because a program in another folder links them through a static nibble.
if(NOT TARGET Threads::Threads)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_package(Threads)
  if(TARGET Threads::Threads)
    set_target_properties(Threads::Threads PROPERTIES IMPORTED_GLOBAL TRUE)
  else()
    list(APPEND NIBBLE_LIBRARIES_MISSING threads)
  endif()
endif()
foreach(library IN ITEMS pcre2-8 utf8proc)
  find_library(NIBBLE_LIBRARY_${library} ${library})
  mark_as_advanced(NIBBLE_LIBRARY_${library})
  if(NOT NIBBLE_LIBRARY_${library})
    list(APPEND NIBBLE_LIBRARIES_MISSING ${library})
  elseif(NOT TARGET nibble::${library})
    add_library(nibble::${library} UNKNOWN IMPORTED GLOBAL)
    set_target_properties(nibble::${library} PROPERTIES IMPORTED_LOCATION ${NIBBLE_LIBRARY_${library}})
  endif()
endforeach()
