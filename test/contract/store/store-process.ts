/**
 * A store in a process of its own, which the test kills: `node store-process.ts MODULE LOCATION`, spoken to over IPC.
 * It answers a request when the store has, so that what the other side has heard is what the store has promised.
 */
import { asWochatError, type WochatError } from '../../../protocol/errors.ts'
import type { SendJob, Store } from '../../../services/store/contract.ts'
import type { StoreRequest, StoreResponse } from './remote-store.ts'

const [, , module, location] = process.argv
const { openStore } = (await import(module!)) as { openStore: (location: string) => Promise<Store> }
const store = await openStore(location!)

process.on('message', (request: StoreRequest) => {
  if (request.kind === 'send') sendFor(request)
  else void call(request)
})
process.on('disconnect', () => process.exit())
answer({ n: 0, value: 'ready' })

function sendFor({ n, send }: Extract<StoreRequest, { kind: 'send' }>): void {
  const job: SendJob = {
    ...send,
    accepted: (seq, at) => answer({ n, value: { log: send.log, seq, at } }),
    refused: (error) => refuse(n, error),
  }
  store.send(job)
}

async function call({ n, op, input }: Extract<StoreRequest, { kind: 'call' }>): Promise<void> {
  try {
    const operation = store[op] as (input: unknown) => Promise<unknown>
    answer({ n, value: await operation(input) })
  } catch (error) {
    refuse(n, asWochatError(error))
  }
}

function refuse(n: number, error: WochatError): void {
  answer({ n, refused: error.toWire() })
}

function answer(response: StoreResponse): void {
  process.send!(response)
}
