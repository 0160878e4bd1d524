// A chain as ethers uses it.

import { deepStrictEqual as same, ok, throws } from "node:assert";
import {
  AbiCoder, Contract, ContractFactory, JsonRpcProvider, WebSocketProvider, Wallet, decodeRlp, isCallException, isError,
  keccak256, parseEther, parseUnits, toBeHex, toQuantity, verifyMessage, verifyTypedData,
} from "ethers";
import { checkProof, failure, given, run, spoiled, within } from "./checks.mjs";

const provider = new JsonRpcProvider(given.http, undefined, { polling: true, pollingInterval: 50, cacheTimeout: -1 });
const socket = new WebSocketProvider(given.ws);
const wallet = new Wallet(given.keys[2], provider);
const tools = { keccak: keccak256, decode: decodeRlp };
const nobody = "0x00000000000000000000000000000000000000bb";
const domain = { name: "Shelf", version: "1", chainId: given.chainId, verifyingContract: nobody };
const types = { Note: [{ name: "to", type: "address" }, { name: "lines", type: "string[]" }] };
const note = { to: nobody, lines: ["a", "b"] };

let unlocked;
let shelf;
let address;
let stored;

const slotOf = (key) => keccak256(AbiCoder.defaultAbiCoder().encode(["uint256", "uint256"], [given.valuesSlot, key]));
const store = async (key, word, signer = wallet, overrides = {}) => (await shelf.connect(signer).store(key, word, overrides)).wait();

await run({
  "a contract is deployed": async () => {
    unlocked = await provider.getSigner(3);
    shelf = await new ContractFactory(given.abi, given.bytecode, wallet).deploy();
    await shelf.waitForDeployment();
    address = await shelf.getAddress();
    ok((await provider.getCode(address)).length > 100);
  },
  "a signed write is read back, and its log is decoded": async () => {
    same(await shelf.store.staticCall(1, 5), 5n);
    stored = await store(1, 5);
    same(await shelf.getFunction("values")(1), 5n);
    const [event] = await shelf.queryFilter(shelf.filters.Stored(1), 0);
    same([event.args.key, event.args.by, event.args.word], [1n, wallet.address, 5n]);
  },
  "an unlocked account writes": async () => {
    const receipt = await store(2, 6, unlocked);
    same([receipt.status, receipt.from], [1, unlocked.address]);
  },
  "transactions of every type are signed and mined": async () => {
    const gasPrice = parseUnits("3", "gwei");
    const accessList = [{ address, storageKeys: [slotOf(3)] }];
    for (const overrides of [{ type: 0, gasPrice }, { type: 1, gasPrice, accessList }, { type: 2 }]) {
      same((await store(3, 1, wallet, overrides)).type, overrides.type);
    }
    const authority = new Wallet(given.keys[4], provider);
    const authorization = await authority.authorize({ address });
    const sent = await wallet.sendTransaction({ type: 4, to: nobody, authorizationList: [authorization] });
    same((await sent.wait()).status, 1);
    same(await provider.getCode(authority.address), `0xef0100${address.slice(2).toLowerCase()}`);
  },
  "logs are told over a WebSocket": async () => {
    const heard = shelf.connect(socket);
    const told = new Promise((resolve) => heard.once(heard.filters.Stored(77), (...all) => resolve(all.at(-1).args)));
    await socket.getNetwork();
    await heard.listenerCount(); // the subscription is on its way
    await socket.send("eth_blockNumber", []);
    await store(76, 1);
    await store(77, 2);
    same([...(await within(told))], [77n, wallet.address, 2n]);
  },
  "blocks are told over a WebSocket": async () => {
    const told = new Promise((resolve) => socket.once("block", resolve));
    await socket.send("eth_blockNumber", []);
    const receipt = await store(5, 5);
    ok((await within(told)) <= receipt.blockNumber);
  },
  "logs and blocks are found by polling": async () => {
    const told = new Promise((resolve) => shelf.once("Stored", (...all) => resolve(all.at(-1).args)));
    const block = new Promise((resolve) => provider.once("block", resolve));
    await shelf.listenerCount();
    await store(8, 8);
    same((await within(told)).key, 8n);
    ok((await within(block)) > 0);
  },
  "messages are signed here and by the node, and verified": async () => {
    for (const signer of [wallet, unlocked]) {
      const signature = await signer.signMessage("hello");
      same(verifyMessage("hello", signature), signer.address);
      ok(verifyMessage("hallo", signature) !== signer.address);
    }
    const old = await unlocked._legacySignMessage("hello");
    same(verifyMessage("hello", old), unlocked.address);
  },
  "typed data is signed here and by the node, and verified": async () => {
    for (const signer of [wallet, unlocked]) {
      const signature = await signer.signTypedData(domain, types, note);
      same(verifyTypedData(domain, types, note, signature), signer.address);
      ok(verifyTypedData(domain, types, { ...note, lines: [] }, signature) !== signer.address);
    }
  },
  "a call sees the state that it is told to see": async () => {
    const data = shelf.interface.encodeFunctionData("values", [9]);
    const overrides = { [address]: { stateDiff: { [slotOf(9)]: toBeHex(1234, 32) } } };
    same(BigInt(await provider.send("eth_call", [{ to: address, data }, "latest", overrides])), 1234n);
    same(BigInt(await provider.call({ to: address, data })), 0n);
  },
  "a custom error is decoded": async () => {
    const called = await failure(shelf.store.staticCall(1, 13));
    same([called.revert.name, [...called.revert.args]], ["Unlucky", [13n, wallet.address]]);
    for (const attempt of [() => shelf.store.estimateGas(1, 13), () => shelf.store(1, 13)]) {
      const error = await failure(attempt());
      ok(isCallException(error), String(error));
      same(shelf.interface.parseError(error.data).name, "Unlucky");
    }
  },
  "a reason in words is shown": async () => {
    const error = await failure(shelf.refuse.staticCall());
    same([isCallException(error), error.reason], [true, "shelf: refused"]);
  },
  "a transaction that fails is told when it is waited for": async () => {
    const sent = await shelf.refuse({ gasLimit: 100_000 });
    const error = await failure(sent.wait());
    same([error.code, error.receipt.status], ["CALL_EXCEPTION", 0]);
  },
  "mistakes have the errors that ethers knows": async () => {
    const send = (fields) => wallet.sendTransaction({ to: nobody, gasLimit: 21_000, ...fields });
    ok(isError(await failure(send({ value: parseEther("1000000") })), "INSUFFICIENT_FUNDS"));
    ok(isError(await failure(send({ nonce: 0 })), "NONCE_EXPIRED"));
    await provider.send("evm_setAutomine", [false]);
    try {
      const nonce = await wallet.getNonce();
      const first = await send({ nonce });
      ok(isError(await failure(send({ nonce, value: 1 })), "REPLACEMENT_UNDERPRICED"));
      const more = await send({ nonce, value: 1, maxFeePerGas: first.maxFeePerGas * 2n, maxPriorityFeePerGas: first.maxPriorityFeePerGas * 2n });
      await provider.send("evm_mine", []);
      const replaced = await failure(first.wait());
      same([replaced.code, replaced.replacement.hash], ["TRANSACTION_REPLACED", more.hash]);
    } finally {
      await provider.send("evm_setAutomine", [true]);
    }
  },
  "blocks of calls are simulated": async () => {
    const call = (name, args) => ({ from: wallet.address, to: address, input: shelf.interface.encodeFunctionData(name, args) });
    const [first, second] = await provider.send("eth_simulateV1", [
      { blockStateCalls: [{ calls: [call("store", [55, 1])] }, { calls: [call("values", [55]), call("store", [1, 13])] }] }, "latest",
    ]);
    same([BigInt(first.calls[0].status), BigInt(second.calls[0].returnData), BigInt(second.calls[1].status)], [1n, 1n, 0n]);
    same(shelf.interface.parseError(second.calls[1].error.data).name, "Unlucky");
  },
  "a transaction is traced": async () => {
    const call = await provider.send("debug_traceTransaction", [stored.hash, { tracer: "callTracer" }]);
    same([call.type, call.to], ["CALL", address.toLowerCase()]);
    const before = await provider.send("debug_traceTransaction", [stored.hash, { tracer: "prestateTracer" }]);
    ok(address.toLowerCase() in before);
  },
  "proofs at the head and in history hold, and a spoiled one does not": async () => {
    const ask = async (number, key) => {
      const { stateRoot } = await provider.getBlock(number);
      const proof = await provider.send("eth_getProof", [address, [slotOf(key)], toQuantity(number)]);
      return { stateRoot, proof, word: checkProof(tools, stateRoot, address, proof, slotOf(key)) };
    };
    await store(1, 99);
    same((await ask(await provider.getBlockNumber(), 1)).word, 99n);
    const past = await ask(stored.blockNumber, 1);
    same(past.word, 5n);
    same((await ask(stored.blockNumber, 2)).word, 0n);
    throws(() => checkProof(tools, past.stateRoot, address, spoiled(past.proof), slotOf(1)));
    throws(() => checkProof(tools, past.proof.storageHash, address, past.proof, slotOf(1)));
  },
  "blocks, fees and accounts are read": async () => {
    const block = await provider.getBlock(stored.blockNumber, true);
    same(block.prefetchedTransactions[0].hash, stored.hash);
    same((await provider.getTransactionReceipt(stored.hash)).index, 0);
    ok((await provider.getFeeData()).maxFeePerGas > 0n);
    same((await provider.listAccounts()).length, 10);
    ok((await provider.getBalance(nobody)) >= 0n);
    same(BigInt(await provider.getStorage(address, slotOf(2))), 6n);
    ok((await provider.getBlock("finalized")).number > 0);
    same((await provider.getNetwork()).chainId, BigInt(given.chainId));
  },
});
