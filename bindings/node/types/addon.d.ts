/**
 * Finds the native half of the package: beside it where it was built here, else in the package for
 * this platform, which npm installs as an optional dependency.
 *
 * It looks nowhere else: no environment variable and no working directory says what is loaded.
 */
export {};
