# Toolchain: 64-bit ARM Linux, cross-compiled by Debian's g++-aarch64-linux-gnu.
# Programs are linked statically, so that qemu-aarch64 runs them without the target's libraries.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
