# Gives secure_torch::libtorch: secure_torch::secure_torch together with libtorch, for
# <secure_torch/libtorch.hpp>. It is there for who asks, by find_package(secure_torch CONFIG COMPONENTS
# libtorch), and for who has a libtorch already.
#
# libtorch is, in this order: the targets of a find_package(Torch) of yours; the folder
# SECURE_TORCH_LIBTORCH_DIR, which holds its include/ and lib/; what find_package(Torch) finds.
#
# The folder `torch` of the Python package will do for SECURE_TORCH_LIBTORCH_DIR, and is the only way to
# link its CUDA build without the CUDA toolkit: TorchConfig.cmake asks for that even where nothing of
# yours uses it.

if(TARGET secure_torch::libtorch)
  return()
endif()
if(NOT TARGET torch AND NOT SECURE_TORCH_LIBTORCH_DIR)
  if(NOT "libtorch" IN_LIST secure_torch_FIND_COMPONENTS)
    return()
  elseif(secure_torch_FIND_REQUIRED_libtorch)
    find_package(Torch REQUIRED)
  else()
    find_package(Torch)
    if(NOT Torch_FOUND)
      set(secure_torch_libtorch_FOUND FALSE)
      return()
    endif()
  endif()
endif()
set(secure_torch_libtorch_FOUND TRUE)

add_library(secure_torch::libtorch INTERFACE IMPORTED)
set_property(TARGET secure_torch::libtorch APPEND PROPERTY
  INTERFACE_LINK_LIBRARIES secure_torch::secure_torch)
target_compile_features(secure_torch::libtorch INTERFACE cxx_std_17)

if(NOT TARGET torch AND SECURE_TORCH_LIBTORCH_DIR)
  foreach(_secure_torch_name IN ITEMS c10 torch_cpu)
    find_library(SECURE_TORCH_${_secure_torch_name} ${_secure_torch_name}
      PATHS "${SECURE_TORCH_LIBTORCH_DIR}/lib" NO_DEFAULT_PATH REQUIRED)
    set_property(TARGET secure_torch::libtorch APPEND PROPERTY
      INTERFACE_LINK_LIBRARIES "${SECURE_TORCH_${_secure_torch_name}}")
  endforeach()
  # A CUDA build registers itself when it is loaded; nothing refers to it by name, so the linker would
  # leave it out.
  find_library(SECURE_TORCH_torch_cuda torch_cuda
    PATHS "${SECURE_TORCH_LIBTORCH_DIR}/lib" NO_DEFAULT_PATH)
  if(SECURE_TORCH_torch_cuda AND SECURE_TORCH_LIBTORCH_CUDA)
    set_property(TARGET secure_torch::libtorch APPEND PROPERTY INTERFACE_LINK_LIBRARIES
      "-Wl,--push-state,--no-as-needed" "${SECURE_TORCH_torch_cuda}" "-Wl,--pop-state")
  endif()
  set_property(TARGET secure_torch::libtorch APPEND PROPERTY INTERFACE_SYSTEM_INCLUDE_DIRECTORIES
    "${SECURE_TORCH_LIBTORCH_DIR}/include"
    "${SECURE_TORCH_LIBTORCH_DIR}/include/torch/csrc/api/include")
  set_property(TARGET secure_torch::libtorch APPEND PROPERTY INTERFACE_INCLUDE_DIRECTORIES
    "${SECURE_TORCH_LIBTORCH_DIR}/include"
    "${SECURE_TORCH_LIBTORCH_DIR}/include/torch/csrc/api/include")
  # Its libraries name others that lie in other folders, which their own run paths know.
  set_property(TARGET secure_torch::libtorch APPEND PROPERTY
    INTERFACE_LINK_OPTIONS "-Wl,--allow-shlib-undefined")
else()
  set_property(TARGET secure_torch::libtorch APPEND PROPERTY
    INTERFACE_LINK_LIBRARIES "${TORCH_LIBRARIES}")
endif()
