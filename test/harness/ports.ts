/**
 * Free loopback ports for servers that keep them over a restart.
 *
 * They lie below the range from which the kernel takes the local ports of outgoing connections; a port from that
 * range could be taken by any client while a server restarts.
 */
import { createServer } from 'node:net'

const FIRST_PORT = 18_000
const LAST_PORT = 31_999
const TRIES_MAX = 500

/** Different processes start at different places, so that parallel test files rarely try the same port. */
let next = FIRST_PORT + ((process.pid * 131) % (LAST_PORT - FIRST_PORT))

export async function findFreePort(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    next = next >= LAST_PORT ? FIRST_PORT : next + 1
    if (await isFree(next)) return next
  }
  throw new Error(`no free port within ${TRIES_MAX} tries`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '127.0.0.1' }, () => probe.close(() => resolve(true)))
  })
}
