//! Has the linker leave Node's own symbols to the Node that loads the addon.

fn main() {
    napi_build::setup();
}
