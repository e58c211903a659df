//! The native half of the npm package `secure-torch`.
//!
//! It converts arguments, calls the gateway, and converts what comes back. It judges nothing and
//! reads no format.
