// What the scripts share: running named checks one after another, and reading Merkle-Patricia proofs.
//
// A script is started as `node script.mjs '{"http": ..., "ws": ..., "abi": ..., "bytecode": ..., "keys": [...]}'` and
// prints one line of JSON for each check: its name, and what went wrong or null.

import { deepStrictEqual } from "node:assert";

export const given = JSON.parse(process.argv[2]);
const PATIENCE_MS = 60_000;

export async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    const error = await within(check()).then(() => null, (reason) => String(reason?.stack ?? reason));
    console.log(JSON.stringify({ check: name, error }));
  }
  process.exit(0); // open sockets would keep it
}

export function within(promise) {
  const late = new Promise((_, refuse) => setTimeout(refuse, PATIENCE_MS, new Error("nothing came")).unref());
  return Promise.race([promise, late]);
}

export async function failure(promise) {
  const nothing = Symbol("no error");
  const error = await promise.then(() => nothing, (reason) => reason);
  if (error === nothing) throw new Error("expected an error, and there was none");
  return error;
}

// --- proofs

const EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";

// The value under `key` in the trie of `root`, or null where the nodes show that there is none. Throws where they
// show neither. `keccak` and `decode` (RLP to nested hex strings) are the client's own.
export function provenValue({ keccak, decode }, root, key, nodes) {
  if (root === EMPTY_ROOT) return null;
  const known = new Map(nodes.map((node) => [keccak(node), node]));
  let path = keccak(key).slice(2);
  let next = root;
  for (;;) {
    if (typeof next === "string" && !known.has(next)) throw new Error(`no node with hash ${next}`);
    const node = typeof next === "string" ? decode(known.get(next)) : next;
    if (node.length === 17) {
      next = path === "" ? node[16] : node[parseInt(path[0], 16)];
      if (path === "") return next === "0x" ? null : next;
      path = path.slice(1);
      if (next === "0x") return null;
      continue;
    }
    const flag = parseInt(node[0][2], 16);
    const part = node[0].slice(flag & 1 ? 3 : 4);
    if (flag & 2) return part === path ? node[1] : null;
    if (!path.startsWith(part)) return null;
    path = path.slice(part.length);
    next = node[1];
  }
}

// Check an answer of eth_getProof (hex strings, as it came) for one slot against a state root; the slot's number.
export function checkProof(tools, stateRoot, address, proof, slot) {
  const account = provenValue(tools, stateRoot, address, proof.accountProof);
  deepStrictEqual(tools.decode(account), [
    scalar(proof.nonce), scalar(proof.balance), proof.storageHash, proof.codeHash,
  ]);
  const [entry] = proof.storageProof;
  const word = provenValue(tools, proof.storageHash, slot, entry.proof);
  const number = word === null ? 0n : BigInt(tools.decode(word));
  deepStrictEqual(BigInt(entry.value), number);
  return number;
}

function scalar(value) {
  const digits = BigInt(value).toString(16);
  return digits === "0" ? "0x" : `0x${digits.length % 2 ? "0" : ""}${digits}`;
}

export function spoiled(proof) {
  const node = proof.storageProof[0].proof.at(-1);
  const other = node.slice(0, -1) + (node.endsWith("0") ? "1" : "0");
  return { ...proof, storageProof: [{ ...proof.storageProof[0], proof: [...proof.storageProof[0].proof.slice(0, -1), other] }] };
}
