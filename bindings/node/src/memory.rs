//! The memory of a storage as an `ArrayBuffer` over it.
//!
//! No byte is copied. The buffer owns its share of the mapping or of the block, which is let go when
//! V8 lets go of the buffer. Writing to it changes no file: the mapping is private.

use std::ffi::c_void;
use std::ptr;

use napi::bindgen_prelude::ToNapiValue;
use napi::{check_status, sys};
use secure_torch::Memory;

/// An `ArrayBuffer` over memory, made when it goes over to JavaScript.
pub struct Buffer(pub(crate) Memory);

impl napi::bindgen_prelude::TypeName for Buffer {
    fn type_name() -> &'static str {
        "ArrayBuffer"
    }

    fn value_type() -> napi::ValueType {
        napi::ValueType::Object
    }
}

impl ToNapiValue for Buffer {
    unsafe fn to_napi_value(env: sys::napi_env, buffer: Self) -> napi::Result<sys::napi_value> {
        let Self(memory) = buffer;
        let mut made = ptr::null_mut();
        if memory.is_empty() {
            // SAFETY: the environment is that of the call, and `made` is where the answer goes.
            let status =
                unsafe { sys::napi_create_arraybuffer(env, 0, ptr::null_mut(), &raw mut made) };
            check_status!(status)?;
            return Ok(made);
        }
        let (start, length) = (memory.start().as_ptr(), memory.len());
        let owner: *mut c_void = Box::into_raw(Box::new(memory)).cast();
        // SAFETY: the memory stays where it is for as long as `owner` holds it, which `let_go` ends;
        // Node-API calls that once the buffer is gone, and not at all where this call fails
        // (`napi_create_external_arraybuffer` in `src/js_native_api_v8.cc` and `src/node_api.cc`).
        // Nothing in Rust refers to the bytes meanwhile, so JavaScript may write to them.
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                env,
                start.cast(),
                length,
                Some(let_go),
                owner,
                &raw mut made,
            )
        };
        if status == sys::Status::napi_no_external_buffers_allowed {
            // SAFETY: Node-API gives this answer before it takes anything, so nobody else has the
            // address. After any other failure it may; a share that is never let go is harmless.
            drop(unsafe { Box::from_raw(owner.cast::<Memory>()) });
            // Copying a model unasked is no answer.
            return Err(napi::Error::from_reason(
                "this runtime takes no memory from outside: Electron does not, Node does",
            ));
        }
        check_status!(status)?;
        Ok(made)
    }
}

/// Lets go of a buffer's share of the memory.
unsafe extern "C" fn let_go(_: sys::napi_env, _: *mut c_void, owner: *mut c_void) {
    // SAFETY: `owner` is the address that `Box::into_raw` gave, and this is called once for it.
    drop(unsafe { Box::from_raw(owner.cast::<Memory>()) });
}
