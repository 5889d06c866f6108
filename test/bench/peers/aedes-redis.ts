/**
 * Aedes with aedes-persistence-redis and mqemitter-redis: the usual way to more than one node of it.
 * `node aedes-redis.ts PORT REDIS_URL`; prints `ready` when it listens; SIGTERM ends it.
 */
import net from 'node:net'
import { Aedes, type AedesOptions } from 'aedes'
// @ts-expect-error It has no types.
import createPersistence from 'aedes-persistence-redis'
import createEmitter from 'mqemitter-redis'

/** The kernel cuts it to net.core.somaxconn; a storm must not be measured against the default of 511. */
const BACKLOG = 4_096

const [, , port, url] = process.argv
const address = new URL(url!)
const redis = { host: address.hostname, port: Number(address.port) }
const broker = await Aedes.createBroker({
  persistence: createPersistence(redis),
  mq: createEmitter(redis),
} as AedesOptions)
// Nagle's algorithm off, as for every peer: a small PUBACK must not wait for the previous one's TCP acknowledgement.
const server = net.createServer({ noDelay: true }, broker.handle)
server.listen({ host: '127.0.0.1', port: Number(port), backlog: BACKLOG }, () => console.log('ready'))

process.on('SIGTERM', () => process.exit(0))
