/**
 * One broker of the pair, as its authors put the parts together: Aedes over aedes-persistence-redis and
 * mqemitter-redis. `node aedes-node.ts PORT REDIS_PORT`; prints `ready` when it listens.
 */
import { createRequire } from 'node:module'
import net from 'node:net'
import { Aedes } from 'aedes'

const require = createRequire(import.meta.url)
const [port, redisPort] = process.argv.slice(2).map(Number)
const redis = { host: '127.0.0.1', port: redisPort }

const broker = await Aedes.createBroker({
  id: `broker-${port}`,
  mq: require('mqemitter-redis')(redis),
  persistence: require('aedes-persistence-redis')({
    ...redis,
    // Its default of 1,000 is a setting; with more, a longer queue is handed over at one reconnect.
    ...(process.env.MAX_DELIVERY !== undefined && { maxSessionDelivery: Number(process.env.MAX_DELIVERY) }),
  }),
} as ConstructorParameters<typeof Aedes>[0])
net.createServer({ noDelay: true }, broker.handle).listen(port, '127.0.0.1', () => console.log('ready'))
process.on('SIGTERM', () => process.exit(0))
