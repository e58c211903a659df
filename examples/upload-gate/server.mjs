// `node server.mjs [FOLDER]`: models end up in FOLDER. `PORT` and `HOST` say where it listens.

import { Policy } from "secure-torch";

import { application } from "./app.mjs";

const storage = process.argv[2] ?? "storage";
const app = await application({ storage, policy: new Policy(), logger: true });
await app.listen({ port: Number(process.env.PORT ?? 8080), host: process.env.HOST ?? "127.0.0.1" });
