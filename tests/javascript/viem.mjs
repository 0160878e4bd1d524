// A chain as viem's clients use it.

import { deepStrictEqual as same, ok, throws } from "node:assert";
import {
  BaseError, ContractFunctionRevertedError, createPublicClient, createTestClient, createWalletClient, encodeAbiParameters,
  encodeFunctionData, fromRlp, getContract, http, keccak256, numberToHex, parseEther, parseGwei, toHex, webSocket,
} from "viem";
import { mnemonicToAccount, privateKeyToAccount } from "viem/accounts";
import { checkProof, failure, given, run, spoiled, within } from "./checks.mjs";

const chain = {
  id: given.chainId, name: "local", nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [given.http], webSocket: [given.ws] } },
};
const polled = { chain, transport: http(), pollingInterval: 50 };
const reader = createPublicClient(polled);
const listener = createPublicClient({ chain, transport: webSocket() });
const account = privateKeyToAccount(given.keys[0]);
const signing = createWalletClient({ ...polled, account });
const tests = createTestClient({ ...polled, mode: "anvil" });
const tools = { keccak: keccak256, decode: (raw) => fromRlp(raw, "hex") };
const nobody = "0x00000000000000000000000000000000000000aa";
const domain = { name: "Shelf", version: "1", chainId: given.chainId, verifyingContract: nobody };
const types = { Note: [{ name: "to", type: "address" }, { name: "lines", type: "string[]" }] };
const typed = { domain, types, primaryType: "Note", message: { to: nobody, lines: ["a", "b"] } };
const { abi, bytecode } = given;

let unlocked;
let shelf;
let stored;

const slotOf = (key) => keccak256(encodeAbiParameters([{ type: "uint256" }, { type: "uint256" }], [given.valuesSlot, key]));
const write = async (functionName, args, client = signing, more = {}) => {
  const hash = await client.writeContract({ address: shelf, abi, functionName, args, ...more });
  return reader.waitForTransactionReceipt({ hash });
};
// Round trips on the socket that subscribes, which no cache answers: what was asked for before them stands.
const standing = async () => {
  for (let trip = 0; trip < 3; trip += 1) await listener.request({ method: "eth_chainId" });
};
const reverted = (error) => {
  ok(error instanceof BaseError, String(error));
  const cause = error.walk((one) => one instanceof ContractFunctionRevertedError);
  ok(cause instanceof ContractFunctionRevertedError, String(error));
  return cause;
};

await run({
  "the mnemonic's accounts are the unlocked ones": async () => {
    const addresses = await createWalletClient(polled).getAddresses();
    same(addresses[1], mnemonicToAccount("test test test test test test test test test test test junk", { addressIndex: 1 }).address);
    unlocked = createWalletClient({ ...polled, account: addresses[1] });
  },
  "a contract is deployed": async () => {
    const hash = await signing.deployContract({ abi, bytecode });
    const receipt = await reader.waitForTransactionReceipt({ hash });
    same(receipt.status, "success");
    shelf = receipt.contractAddress;
    ok((await reader.getCode({ address: shelf })).length > 100);
    same((await reader.getTransaction({ hash })).input, bytecode);
  },
  "a signed write is simulated, sent, read back, and its log is decoded": async () => {
    const { request, result } = await reader.simulateContract({ account, address: shelf, abi, functionName: "store", args: [1n, 5n] });
    same(result, 5n);
    stored = await reader.waitForTransactionReceipt({ hash: await signing.writeContract(request) });
    same(await reader.readContract({ address: shelf, abi, functionName: "values", args: [1n] }), 5n);
    const events = await reader.getContractEvents({ address: shelf, abi, eventName: "Stored", fromBlock: 0n });
    same(events.map((event) => event.args), [{ key: 1n, by: account.address, word: 5n }]);
  },
  "an unlocked account writes": async () => {
    const receipt = await write("store", [2n, 6n], unlocked);
    same([receipt.status, receipt.from], ["success", unlocked.account.address.toLowerCase()]);
  },
  "transactions of every type are signed and mined": async () => {
    const some = [
      [{ gasPrice: parseGwei("3") }, "legacy"],
      [{ gasPrice: parseGwei("3"), accessList: [{ address: shelf, storageKeys: [slotOf(3n)] }] }, "eip2930"],
      [{ maxFeePerGas: parseGwei("5"), maxPriorityFeePerGas: parseGwei("1") }, "eip1559"],
    ];
    for (const [fields, type] of some) same((await write("store", [3n, 1n], signing, fields)).type, type);
    const authority = privateKeyToAccount(given.keys[5]);
    const authorization = await signing.signAuthorization({ account: authority, contractAddress: shelf });
    const hash = await signing.sendTransaction({ to: nobody, authorizationList: [authorization] });
    same((await reader.waitForTransactionReceipt({ hash })).type, "eip7702");
    same(await reader.getCode({ address: authority.address }), `0xef0100${shelf.slice(2)}`.toLowerCase());
  },
  "logs are told over a WebSocket": async () => {
    const told = new Promise((resolve, refuse) => {
      const unwatch = listener.watchContractEvent({
        address: shelf, abi, eventName: "Stored", args: { key: 77n }, onError: refuse,
        onLogs: (logs) => { unwatch(); resolve(logs); },
      });
    });
    await standing();
    await write("store", [76n, 1n]);
    await write("store", [77n, 2n]);
    const logs = await within(told);
    same(logs.map((log) => [log.args.key, log.args.word, log.removed]), [[77n, 2n, false]]);
  },
  "blocks and waiting transactions are told over a WebSocket": async () => {
    let stopBlocks, stopPending;
    const block = new Promise((resolve, onError) => { stopBlocks = listener.watchBlocks({ onBlock: resolve, onError }); });
    const pending = new Promise((resolve, onError) => { stopPending = listener.watchPendingTransactions({ onTransactions: resolve, onError }); });
    await standing();
    const hash = await signing.sendTransaction({ to: nobody, value: 1n });
    same(await within(pending), [hash]);
    ok((await within(block)).number > 0n);
    stopBlocks();
    stopPending();
  },
  "logs are found by polling a filter": async () => {
    const filter = await reader.createContractEventFilter({ address: shelf, abi, eventName: "Stored" });
    await write("store", [8n, 8n]);
    same((await reader.getFilterChanges({ filter })).map((log) => log.args.word), [8n]);
    same(await reader.getFilterChanges({ filter }), []);
    ok(await reader.uninstallFilter({ filter }));
  },
  "messages are signed here and by the node, and verified": async () => {
    for (const client of [signing, unlocked]) {
      const signature = await client.signMessage({ message: "hello" });
      const address = client.account.address;
      ok(await reader.verifyMessage({ address, message: "hello", signature }));
      ok(!(await reader.verifyMessage({ address, message: "hallo", signature })));
    }
  },
  "typed data is signed here and by the node, and verified": async () => {
    for (const client of [signing, unlocked]) {
      const signature = await client.signTypedData(typed);
      const address = client.account.address;
      ok(await reader.verifyTypedData({ ...typed, address, signature }));
      const other = { ...typed, message: { to: nobody, lines: ["a"] } };
      ok(!(await reader.verifyTypedData({ ...other, address, signature })));
    }
  },
  "a call sees the state that it is told to see": async () => {
    const stateDiff = [{ slot: slotOf(9n), value: numberToHex(1234n, { size: 32 }) }];
    const call = { address: shelf, abi, functionName: "values", args: [9n] };
    same(await reader.readContract({ ...call, stateOverride: [{ address: shelf, stateDiff }] }), 1234n);
    same(await reader.readContract(call), 0n);
    const poor = { account: nobody, to: shelf, value: parseEther("5") };
    await failure(reader.call({ ...poor, data: encodeFunctionData({ abi, functionName: "store", args: [1n, 1n] }) }));
    await reader.call({
      ...poor, data: encodeFunctionData({ abi, functionName: "store", args: [1n, 1n] }),
      stateOverride: [{ address: nobody, balance: parseEther("6") }],
    });
  },
  "a custom error is decoded": async () => {
    const args = { account, address: shelf, abi, functionName: "store", args: [1n, 13n] };
    const cause = reverted(await failure(reader.simulateContract(args)));
    same([cause.data.errorName, cause.data.args], ["Unlucky", [13n, account.address]]);
    same(reverted(await failure(reader.estimateContractGas(args))).data.errorName, "Unlucky");
  },
  "a reason in words is shown": async () => {
    const refused = await failure(reader.simulateContract({ account, address: shelf, abi, functionName: "refuse" }));
    same(reverted(refused).reason, "shelf: refused");
  },
  "a transaction that fails has a receipt that says so": async () => {
    same((await write("refuse", [], signing, { gas: 100_000n })).status, "reverted");
  },
  "blocks of calls are simulated": async () => {
    const store = { to: shelf, abi, functionName: "store", args: [55n, 1n] };
    const blocks = await reader.simulateBlocks({
      blocks: [
        { calls: [{ ...store, account: nobody }], stateOverrides: [{ address: nobody, balance: 10n ** 18n }] },
        { calls: [{ to: shelf, abi, functionName: "values", args: [55n] }, { to: shelf, abi, functionName: "store", args: [1n, 13n] }] },
      ],
    });
    same(blocks[1].calls[0].result, 1n);
    same(blocks[1].calls[1].status, "failure");
    same(blocks[1].number, blocks[0].number + 1n);
    same(await reader.readContract({ address: shelf, abi, functionName: "values", args: [55n] }), 0n);
  },
  "calls are simulated with what they move": async () => {
    const { assetChanges, results } = await reader.simulateCalls({
      account: account.address, traceAssetChanges: true,
      calls: [{ to: nobody, value: 5n }, { to: shelf, abi, functionName: "store", args: [1n, 2n] }],
    });
    same(results.map((one) => one.status), ["success", "success"]);
    same(assetChanges[0].value.diff, -5n);
  },
  "a transaction is traced": async () => {
    const trace = (options) => reader.request({ method: "debug_traceTransaction", params: [stored.transactionHash, options] });
    const call = await trace({ tracer: "callTracer", tracerConfig: { withLog: true } });
    same([call.type, call.to, call.logs.length], ["CALL", shelf.toLowerCase(), 1]);
    const steps = await trace({});
    ok(steps.structLogs.some((step) => step.op === "SSTORE"));
  },
  "proofs at the head and in history hold, and a spoiled one does not": async () => {
    const ask = async (blockNumber, key) => {
      const { stateRoot } = await reader.getBlock({ blockNumber });
      const proof = await reader.getProof({ address: shelf, storageKeys: [slotOf(key)], blockNumber });
      return { stateRoot, proof, word: checkProof(tools, stateRoot, shelf, proof, slotOf(key)) };
    };
    await write("store", [1n, 99n]);
    const head = await reader.getBlockNumber();
    same((await ask(head, 1n)).word, 99n);
    const past = await ask(stored.blockNumber, 1n);
    same(past.word, 5n);
    same((await ask(stored.blockNumber, 2n)).word, 0n);
    throws(() => checkProof(tools, past.stateRoot, shelf, spoiled(past.proof), slotOf(1n)));
    throws(() => checkProof(tools, (past.proof.storageHash), shelf, past.proof, slotOf(1n)));
  },
  "fees, gas and access lists are estimated": async () => {
    const fees = await reader.estimateFeesPerGas();
    ok(fees.maxFeePerGas > fees.maxPriorityFeePerGas);
    ok((await reader.getGasPrice()) > 0n);
    const history = await reader.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] });
    same([history.baseFeePerGas.length, history.reward.length], [5, 4]);
    ok((await reader.estimateGas({ account, to: nobody, value: 1n })) >= 21_000n);
    const data = encodeFunctionData({ abi, functionName: "values", args: [1n] });
    const { accessList } = await reader.createAccessList({ account, to: shelf, data });
    same(accessList.map((entry) => entry.storageKeys.length), [1]);
    same(await reader.getBlobBaseFee(), 1n);
  },
  "blocks and transactions are read every way": async () => {
    const block = await reader.getBlock({ includeTransactions: true, blockHash: stored.blockHash });
    same(block.transactions[0].hash, stored.transactionHash);
    same(await reader.getBlockTransactionCount({ blockHash: stored.blockHash }), 1);
    const at = await reader.getTransaction({ blockNumber: stored.blockNumber, index: 0 });
    same(at.hash, stored.transactionHash);
    ok((await reader.getTransactionConfirmations({ hash: at.hash })) >= 1n);
    ok((await reader.getBlock({ blockTag: "finalized" })).number > 0n);
    same(await reader.getChainId(), given.chainId);
    same(await reader.getStorageAt({ address: shelf, slot: slotOf(2n) }), numberToHex(6n, { size: 32 }));
    same(await reader.getTransactionCount({ address: nobody }), 0);
    await failure(reader.getTransaction({ hash: `0x${"11".repeat(32)}` }));
  },
  "mistakes have the errors that viem knows": async () => {
    const named = async (promise, name) => ok((await failure(promise)).walk((one) => one.name === name), name);
    const send = (fields) => signing.sendTransaction({ to: nobody, ...fields });
    await named(send({ value: parseEther("1000000"), gas: 21_000n }), "InsufficientFundsError");
    await named(send({ nonce: 0, gas: 21_000n }), "NonceTooLowError");
    await named(send({ gas: 20_000n }), "IntrinsicGasTooLowError");
    await named(send({ maxFeePerGas: 1n, maxPriorityFeePerGas: 1n, gas: 21_000n }), "FeeCapTooLowError");
    await named(reader.request({ method: "eth_nothing" }), "MethodNotFoundRpcError");
  },
  "the test client's verbs work": async () => {
    const mark = await tests.snapshot();
    await tests.setBalance({ address: nobody, value: parseEther("3") });
    same(await reader.getBalance({ address: nobody }), parseEther("3"));
    await tests.setNonce({ address: nobody, nonce: 7 });
    await tests.setCode({ address: nobody, bytecode: "0x6001" });
    await tests.setStorageAt({ address: nobody, index: 3, value: numberToHex(9n, { size: 32 }) });
    same(await reader.getStorageAt({ address: nobody, slot: toHex(3) }), numberToHex(9n, { size: 32 }));
    await tests.impersonateAccount({ address: nobody });
    const guest = createWalletClient({ ...polled, account: nobody });
    same((await reader.waitForTransactionReceipt({ hash: await guest.sendTransaction({ to: shelf, value: 0n, data: encodeFunctionData({ abi, functionName: "total" }) }) })).from, nobody);
    await tests.stopImpersonatingAccount({ address: nobody });
    await tests.setCoinbase({ address: nobody });
    const before = await reader.getBlock();
    await tests.setNextBlockTimestamp({ timestamp: before.timestamp + 1000n });
    await tests.mine({ blocks: 2, interval: 10 });
    const after = await reader.getBlock();
    same([after.number, after.timestamp], [before.number + 2n, before.timestamp + 1010n]);
    await tests.increaseTime({ seconds: 3600 });
    await tests.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei("2") });
    await tests.mine({ blocks: 1 });
    same((await reader.getBlock()).baseFeePerGas, parseGwei("2"));
    await tests.setAutomine(false);
    same(await tests.getAutomine(), false);
    const hash = await signing.sendTransaction({ to: nobody, value: 1n, gas: 21_000n });
    same((await tests.getTxpoolStatus()).pending, 1);
    ok(Object.keys((await tests.getTxpoolContent()).pending).length === 1);
    ok(Object.keys((await tests.inspectTxpool()).pending).length === 1);
    await tests.dropTransaction({ hash });
    same((await tests.getTxpoolStatus()).pending, 0);
    const height = await reader.getBlockNumber();
    await tests.setIntervalMining({ interval: 1 });
    while ((await reader.getBlockNumber({ cacheTime: 0 })) === height) await new Promise((resolve) => setTimeout(resolve, 50));
    await tests.setIntervalMining({ interval: 0 });
    await tests.setAutomine(true);
    await tests.revert({ id: mark });
    same(await reader.getBalance({ address: nobody }), 1n);
  },
  "logs that were reverted are told again as removed": async () => {
    const mark = await tests.snapshot();
    const heard = [];
    const unwatch = listener.watchContractEvent({ address: shelf, abi, eventName: "Stored", onLogs: (logs) => heard.push(...logs) });
    await listener.getBlockNumber({ cacheTime: 0 });
    await write("store", [60n, 6n]);
    await tests.revert({ id: mark });
    await within((async () => { while (heard.length < 2) await new Promise((resolve) => setTimeout(resolve, 20)); })());
    unwatch();
    same(heard.map((log) => [log.args.key, log.removed]), [[60n, false], [60n, true]]);
  },
  "the chain begins anew": async () => {
    await tests.reset();
    same(await reader.getBlockNumber({ cacheTime: 0 }), 0n);
    same(await reader.getBalance(account), parseEther("10000"));
  },
});
