// What `load` gives, compared with what torch finds in the same files (`manifest.py` asks it).

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { freemem } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";

import * as st from "secure-torch";

const folder = process.env.SECURE_TORCH_MANIFEST;
const skip = folder ? false : "no manifest: `SECURE_TORCH_MANIFEST` names the folder of `manifest.py`";
const manifest = folder ? JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) : [];

function sha256({ data }) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return createHash("sha256").update(bytes).digest("hex");
}

describe("tensors are torch's, byte for byte", { skip }, () => {
  for (const { path, tensors } of manifest) {
    test(path.split("/").slice(-2).join("/"), async () => {
      for (const made of [await st.load(path), st.loadSync(path, { mmap: false }), await st.load(readFileSync(path))]) {
        assert.deepEqual(made.keys(), Object.keys(tensors));
        for (const [name, wanted] of Object.entries(tensors)) {
          const found = made.get(name);
          assert.equal(found.dtype, wanted.dtype, name);
          assert.deepEqual(found.shape, wanted.shape, name);
          const row = found.contiguous();
          assert.ok(row.isContiguous && !row.isConj && !row.isNeg, name);
          assert.equal(sha256(row), wanted.sha256, name);
        }
      }
    });
  }
});

describe("views", { skip }, () => {
  const made = folder && st.loadSync(join(folder, "kinds.pt"));
  test("each element type has its own", () => {
    const half = globalThis.Float16Array ?? Uint16Array;
    const views = {
      uint8: Uint8Array, int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
      uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array, bool: Uint8Array,
      float16: half, bfloat16: Uint16Array, float32: Float32Array, float64: Float64Array,
      complex32: half, complex64: Float32Array, complex128: Float64Array, float8_e4m3fn: Uint8Array,
    };
    for (const [name, View] of Object.entries(views)) {
      assert.equal(made.get(name).data.constructor, View, name);
      assert.equal(made.get(name).data.length, name.startsWith("complex") ? 12 : 6, name);
    }
    assert.deepEqual([...st.bfloat16ToFloat32(made.get("bfloat16").data)], [0, 1, 2, 3, 4, 5]);
    assert.deepEqual([...st.float16ToFloat32(made.get("float16").data)], [0, 1, 2, 3, 4, 5]);
  });

  test("halves stand for the numbers that they stand for", () => {
    const bits = Uint16Array.of(0x0001, 0x03ff, 0x0400, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0xfc00, 0x8000);
    const wanted = [2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, -2, 65504, Infinity, -Infinity, -0];
    assert.deepEqual([...st.float16ToFloat32(bits)], wanted);
    assert.ok(Number.isNaN(st.float16ToFloat32(Uint16Array.of(0x7e01))[0]));
    assert.deepEqual([...st.bfloat16ToFloat32(Uint16Array.of(0x3f80, 0xc020, 0x8000))], [1, -2.5, -0]);
  });

  test("strides lead to the elements", () => {
    const { data, shape, strides, isContiguous } = made.get("transposed");
    assert.deepEqual([shape, strides, isContiguous], [[6, 4], [1, 6], false]);
    assert.equal(data[5 * strides[0] + 3 * strides[1]], 23);
    assert.deepEqual([...made.get("repeated").contiguous().data], [7, 7, 7, 7, 7, 8, 8, 8, 8, 8]);
    assert.equal(made.get("repeated").data.length, 2);
    assert.equal(made.get("empty").data.length, 0);
    assert.equal(made.get("scalar").data[0], 2.5);
    assert.equal(made.get("float32").contiguous(), made.get("float32"));
  });

  test("tensors of one storage share their memory", () => {
    const [a, b, whole] = ["shared.a", "shared.b", "transposed"].map((name) => made.get(name));
    assert.equal(a.data.buffer, b.data.buffer);
    assert.equal(a.data.buffer, whole.data.buffer);
    assert.equal(b.offset, 12);
    assert.notEqual(a.data.buffer, made.get("float32").data.buffer);
    b.data[0] = 99;
    assert.equal(new Float32Array(a.data.buffer)[12], 99);
    assert.equal(made.get("shared.b"), b);
  });
});

test("values are JavaScript's, and pollute nothing", { skip }, () => {
  const made = st.loadSync(join(folder, "values.pt"));
  const { root } = made;
  const get = (key) => root.get(key);
  assert.ok(root instanceof Map);
  assert.equal(get("big"), 2n ** 80n + 1n);
  assert.equal(get("negative"), -(2n ** 80n));
  assert.equal(get("long"), 2n ** 53n + 1n);
  assert.equal(get("small"), -5);
  assert.equal(get("float"), 0.1);
  assert.equal(get("infinite"), -Infinity);
  assert.equal(get("nothing"), null);
  assert.equal(get("yes"), true);
  assert.deepEqual(get("bytes"), Uint8Array.of(0, 255));
  assert.deepEqual(get("tuple"), [1, "two", [3]]);
  assert.deepEqual(get("set"), new Set([1, 2]));
  assert.deepEqual([get("complex").real, get("complex").imaginary], [1, -2]);
  assert.equal(get(7), "a key that is a number");
  assert.deepEqual(get("size"), [2, 3]);
  assert.equal(get("dtype"), "torch.bfloat16");
  assert.equal(get("device"), "cuda:1");
  assert.equal(get("ordered").className, "collections.OrderedDict");
  assert.equal(get("ordered").get("a"), 1);
  assert.equal(get("sparse").layout, "sparse_coo");
  assert.deepEqual([...get("sparse").values.data], [1, 1, 1]);
  assert.throws(() => made.get("sparse"), { code: "model-unsupported" });
  assert.deepEqual(get("quantized").quantization, { scale: 0.5, zeroPoint: 3 });
  assert.deepEqual([...get("quantized").data], [5, 7]);
  assert.ok(get("parameter").requiresGrad);
  assert.equal(get("parameter").data, made.get("parameter"));
  assert.deepEqual([...made.get("array").contiguous().data], [0, 2, 4, 1, 3, 5]);
  assert.deepEqual([get("words").dtype, get("words").shape], ["<U2", [2]]);
  assert.equal(get("scalar"), 1.5);
  assert.equal(get("text"), `${"x".repeat(1000)}ä模`);
  const odd = [...root.entries()].find(([key]) => Array.isArray(key));
  assert.deepEqual(odd, [[1, 2], "a key that is a tuple"]);

  // It has keys that are no text, so it stays a map; what is below it does not.
  const plain = made.toObject();
  assert.ok(plain instanceof Map);
  for (const [key, below] of [["__proto__", "polluted"], ["constructor", "prototype"]]) {
    assert.equal(Object.getPrototypeOf(plain.get(key)), null);
    assert.ok(Object.hasOwn(plain.get(key), below));
  }
  assert.equal({}.polluted, undefined);
});

test("keys of an object are its own data, whatever they are called", async () => {
  // {"__proto__": {"polluted": True}, "toString": 1, "hasOwnProperty": 2}
  const text = (word) => `X${String.fromCharCode(word.length)}\0\0\0${word}`;
  const inner = `}${text("polluted")}\x88s`;
  const items = `${text("__proto__")}${inner}s${text("toString")}K\x01s${text("hasOwnProperty")}K\x02s`;
  const pickle = Buffer.from(`\x80\x02}${items}.`, "latin1");
  const plain = (await st.load(pickle)).toObject();
  assert.deepEqual(Object.keys(plain), ["__proto__", "toString", "hasOwnProperty"]);
  assert.equal(Object.getPrototypeOf(plain), null);
  assert.deepEqual(Object.keys(plain.__proto__), ["polluted"]);
  assert.equal({}.polluted, undefined);
});

/** A file of PyTorch before 1.6: a pickle, in which `tensor` makes one of a float32, and its storage. */
function legacy(pickle) {
  const text = (word) => `X${String.fromCharCode(word.length)}\0\0\0${word}`;
  const tensor =
    `ctorch._utils\n_rebuild_tensor_v2\n((${text("storage")}ctorch\nFloatStorage\n${text("0")}${text("cpu")}K\x01Nt` +
    "QK\0K\x01\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR";
  const magic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  const system = `\x80\x02}(${text("protocol_version")}M\xe9\x03${text("little_endian")}\x88u.`;
  const whole = `${magic}\x80\x02M\xe9\x03.${system}\x80\x02${pickle(text, tensor)}.\x80\x02](${text("0")}e.`;
  const storage = Buffer.alloc(12);
  storage.writeBigInt64LE(1n);
  storage.writeFloatLE(2.5, 8);
  return Buffer.concat([Buffer.from(whole, "latin1"), storage]);
}

test("what cannot be had leaves the rest as it is", () => {
  const deep = `${"]".repeat(600)}${"a".repeat(599)}`;
  const policy = new st.Policy({ limits: { "pickle.container_depth": 1000 } });
  const name = "m\u001b[31m\u202e.pt";
  const made = st.loadSync(legacy((text, tensor) => `}(${text("w")}${tensor}${text("deep")}${deep}u`), { policy, name });
  for (const read of [() => made.root, () => made.toObject()]) {
    assert.throws(read, (error) => {
      assert.equal(error.code, "model-unsupported");
      assert.match(error.message, /nest deeper/);
      assert.ok(!/[\u001b\u202e]/.test(error.message), "it is safe to print");
      return true;
    });
  }
  assert.equal(made.get("w").data[0], 2.5);
});

test("names from a file are safe to print where an error tells of them", () => {
  const name = "\u001b[31mred";
  const twice = legacy((text, tensor) => `}(${text("a")}}${text(name)}${tensor}s${text(`a.${name}`)}${tensor}u`);
  const made = st.loadSync(twice);
  assert.throws(() => made.tensors, (error) => error.message.includes("\\u{1b}[31mred") && !error.message.includes("\u001b"));
  assert.equal(made.root.get(`a.${name}`).data[0], 2.5);
});

test("what a file refers to again and again is made once", () => {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(1 << 20);
  for (const opcode of ["B", "\x8b"]) {
    const long = [Buffer.from(`\x80\x03](${opcode}`, "latin1"), size, Buffer.alloc(1 << 20, 65)];
    const pickle = Buffer.concat([...long, Buffer.from(`q\0${"h\0".repeat(2_000)}e.`, "latin1")]);
    const { root } = st.loadSync(pickle);
    assert.equal(root.length, 2_001);
    // Of integers only the memory tells.
    if (opcode === "B") assert.ok(root.every((bytes) => bytes === root[0] && bytes.length === 1 << 20));
    else assert.ok(root.every((number) => number === root[0]));
  }
});

test("a long integer takes memory in proportion", async () => {
  const entry = pathToFileURL(createRequire(import.meta.url).resolve("secure-torch")).href;
  const text = `
    import { parentPort, workerData } from "node:worker_threads";
    const { default: st } = await import(workerData.entry);
    const { root } = st.loadSync(workerData.pickle);
    parentPort.postMessage([BigInt.asUintN(16, root), root < 0n]);
  `;
  const size = Buffer.alloc(4);
  size.writeUInt32LE(4 << 20);
  const bytes = Buffer.alloc(4 << 20, 0x81);
  bytes[0] = 7;
  const pickle = Buffer.concat([Buffer.from("\x80\x02\x8b", "latin1"), size, bytes, Buffer.from(".")]);
  const options = { workerData: { entry, pickle }, resourceLimits: { maxOldGenerationSizeMb: 64 } };
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(text)}`), options);
  const [told] = await once(worker, "message");
  assert.deepEqual(told, [0x8107n, true]);
});

const roomy = freemem() > 4 * 2 ** 30 ? false : "it takes more than a gigabyte";

test("more values than one text of JavaScript's can tell of are an error with a code", { skip: roomy }, () => {
  // Each character of control is told of in six.
  const pickle = Buffer.from(`\x80\x02](X0\0\0\0${"\x01".repeat(48)}q\0${"h\0".repeat(1_900_000)}e.`, "latin1");
  assert.throws(() => st.loadSync(pickle), (error) => {
    assert.equal(error.name, "SecureTorchError", String(error));
    assert.equal(error.code, "input-too-large");
    assert.equal(error.report.verdict, "allow");
    return true;
  });
});
