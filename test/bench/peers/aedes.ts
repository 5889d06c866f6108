/**
 * Plain Aedes in memory, with nothing of ours around it: the yardstick of every row. `node aedes.ts PORT`; prints
 * `ready` when it listens; SIGUSR2 collects garbage (with --expose-gc); SIGTERM ends it.
 */
import net from 'node:net'
import { Aedes } from 'aedes'

/** The kernel cuts it to net.core.somaxconn; a storm must not be measured against the default of 511. */
const BACKLOG = 4_096

const broker = await Aedes.createBroker()
// Nagle's algorithm off, as for every peer: a small PUBACK must not wait for the previous one's TCP acknowledgement.
const server = net.createServer({ noDelay: true }, broker.handle)
server.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: BACKLOG }, () =>
  console.log('ready'),
)

process.on('SIGUSR2', () => globalThis.gc?.())
process.on('SIGTERM', () => process.exit(0))
