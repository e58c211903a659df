// The same types for `require`.

import secureTorch = require("secure-torch");

const report: secureTorch.Report = secureTorch.scanSync(Buffer.from("\x80\x02}.", "latin1"));
console.log(report.verdict);
