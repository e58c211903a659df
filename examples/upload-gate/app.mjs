// The server: `PUT /models/NAME` takes a model as it is, `POST /models` one in a form.

import multipart from "@fastify/multipart";
import Fastify from "fastify";

import { Gate, Refused } from "./gate.mjs";

export async function application({ storage, policy, maxBytes, logger = false }) {
  const gate = new Gate({ storage, policy, maxBytes });
  await gate.prepare();

  const app = Fastify({ logger, bodyLimit: gate.maxBytes });
  // The gate counts for itself; this keeps the parser from reading on for ever.
  const limits = { files: 1, fields: 0, fileSize: gate.maxBytes + 1 };
  await app.register(multipart, { limits, throwFileSizeLimit: false });
  // The body stays a stream: nothing is gathered in memory.
  app.addContentTypeParser("application/octet-stream", (_, payload, done) => done(null, payload));

  app.setErrorHandler((error, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) request.log.error(error);
    // Half an upload may still be on its way: this connection is of no more use.
    if (status === 413) reply.header("connection", "close");
    const message = status >= 500 ? "something went wrong here" : error.message;
    reply.code(status).send({ error: message, ...(error.report ? { report: error.report } : {}) });
  });

  /** Ends the judging of a model whose sender is gone. The connection itself may serve many uploads. */
  const leaving = (reply) => {
    const controller = new AbortController();
    reply.raw.once("close", () => controller.abort(new Refused(400, "the sender left")));
    return controller.signal;
  };

  const answer = (reply, name, { report, sha256 }) =>
    reply.code(201).send({ name, sha256, threat_score: report.threatScore, format: report.format });

  app.put("/models/:name", async (request, reply) => {
    if (typeof request.body?.pipe !== "function") throw new Refused(415, "send application/octet-stream");
    const { name } = request.params;
    return answer(reply, name, await gate.take(request.body, name, leaving(reply)));
  });

  app.post("/models", async (request, reply) => {
    const part = await request.file();
    if (part === undefined) throw new Refused(400, "the form has no file");
    return answer(reply, part.filename, await gate.take(part.file, part.filename, leaving(reply)));
  });

  return app;
}
