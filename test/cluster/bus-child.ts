/** A node of a bus as a process of its own, driven over its IPC channel. */
import { BusNode, type BusNodeOptions, claimOf } from './bus-node.ts'

const node = await BusNode.start(JSON.parse(process.argv[2]!) as BusNodeOptions)
const tell = (event: string, value: unknown) => process.send!({ event, value })
node.onEvent = tell

const claims = new Map<string, ReturnType<typeof claimOf>>()
process.on('message', async ({ command, value }: { command: string; value: string }) => {
  if (command === 'claim') {
    const claim = claimOf(value)
    claims.set(value, claim)
    tell('claimed', [value, await node.bus.claim(claim)])
  }
})
process.on('disconnect', () => process.exit())
tell('ready', node.bus.node)
