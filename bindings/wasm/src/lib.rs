//! The gate in a browser.
//!
//! It converts arguments, calls the gateway, and converts what comes back. It judges nothing and
//! reads no format.
