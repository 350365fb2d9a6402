# Install rules: library, headers, CMake package (`find_package(nibble CONFIG)`) and pkg-config file, all of which
# may be moved to another folder together.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nibble)

install(TARGETS nibble EXPORT nibble-targets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/nibble DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
        PATTERN *.hpp)
install(EXPORT nibble-targets NAMESPACE nibble:: DESTINATION ${package_dir})

configure_package_config_file(cmake/nibble-config.cmake.in nibble-config.cmake INSTALL_DESTINATION ${package_dir}
                              NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(nibble-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nibble-config.cmake ${PROJECT_BINARY_DIR}/nibble-config-version.cmake
              ${PROJECT_SOURCE_DIR}/cmake/libraries.cmake DESTINATION ${package_dir})

# A static libnibble needs its libraries named; a shared one names them itself.
if(NOT BUILD_SHARED_LIBS)
  if(NIBBLE_HAS_CUDA)
    set(pc_cuda " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
  endif()
  set(pc_private "Requires.private: libpcre2-8 libutf8proc\nLibs.private: -pthread${pc_cuda}\n")
endif()
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/nibble.pc.in nibble.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/nibble.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
