#!/usr/bin/env node
// The command `secure-torch`, in this process. Its exit codes are those of the Rust one: 0 allowed,
// 1 blocked, 2 an error. Standard input and output are left to it: Node's own streams are not touched.

"use strict";

const { addon } = require("../dist/addon.js");

process.exitCode = addon.run(process.argv.slice(2));
