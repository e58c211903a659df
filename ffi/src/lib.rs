//! The C ABI of secure-torch.
//!
//! It converts arguments, calls the gateway, and converts what comes back. It judges nothing and
//! reads no format.
