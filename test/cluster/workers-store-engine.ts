/** The SQLite store as a worker has it: over a channel, here within one process. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Store } from '../../services/store/contract.ts'
import { Channel } from '../../services/store/remote/channel.ts'
import { createRemoteStore } from '../../services/store/remote/client.ts'
import { StoreHost } from '../../services/store/remote/host.ts'
import type { EngineOptions, StoreEngine } from '../contract/store/engine.ts'
import { openStore as openEmbeddedStore } from '../contract/store/sqlite-engine.ts'

export const ORPHAN_EXPIRY_MS = 60_000

/** A worker's store, and the end of its process. */
type WorkerStore = { store: Store; die(): Promise<void> }

export function attachWorker(host: StoreHost, waitingSendsMax = 20_000): WorkerStore {
  const [here, there] = duplexPair()
  const channel = new Channel(there)
  const { store, channelClosed } = createRemoteStore(channel, { waitingSendsMax })
  channel.onClose = channelClosed
  const hostChannel = new Channel(here)
  const worker = host.attach(hostChannel)
  return {
    store,
    async die() {
      channel.destroy()
      hostChannel.destroy()
      await host.detach(worker)
    },
  }
}

export function createHost(embedded: Store): StoreHost {
  const host = new StoreHost(embedded, {
    orphanExpiryMs: ORPHAN_EXPIRY_MS,
    onError: (error) => {
      throw error
    },
  })
  embedded.feed = host
  return host
}

/** Loaded by name in the process that is killed, too (store-process.ts). */
export async function openStore(location: string, options: EngineOptions = {}): Promise<Store> {
  const embedded = await openEmbeddedStore(location, options)
  const { store } = attachWorker(createHost(embedded), options.waitingSendsMax)
  const close = store[Symbol.asyncDispose]
  store[Symbol.asyncDispose] = async () => {
    await close()
    await embedded[Symbol.asyncDispose]()
  }
  return store
}

export async function createWorkerEngine(): Promise<StoreEngine & AsyncDisposable> {
  const location = await mkdtemp(join(tmpdir(), 'wochat-workers-'))
  return {
    open: (options) => openStore(location, options),
    module: fileURLToPath(import.meta.url),
    location,
    [Symbol.asyncDispose]: () => rm(location, { recursive: true }),
  }
}
