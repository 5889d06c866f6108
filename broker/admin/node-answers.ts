/** What a node tells about its own connections, to itself and to the others. */
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import type { NodeQuestion, NodeQuestions } from '../../services/admin/cluster-port.ts'
import type { Bus } from '../cluster/bus.ts'
import { ReasonCode } from '../gate/codec/constants.ts'
import type { Connection } from '../gate/connection.ts'
import type { Draining } from '../gate/draining.ts'
import type { Registry } from '../gate/registry.ts'
import type { Tracing } from '../trace/tracing.ts'
import { connectionFacts, queueFacts, slowest } from './connection-facts.ts'

type NodeParts = {
  registry: Registry
  draining: Draining
  tracing: Tracing
  /** Sends that wait for a commit. */
  sendsWaiting: () => number
}

type Answers = {
  [Name in NodeQuestion]: (params: NodeQuestions[Name]['params']) => NodeQuestions[Name]['answer']
}

/** Call before the bus is open. */
export function answerForNode(bus: Bus, { registry, draining, tracing, sendsWaiting }: NodeParts): void {
  const answers: Answers = {
    'admin.connections': ({ uid }) =>
      openOf(registry, uid).map((connection) => ({
        device: connection.device,
        connection: connectionFacts(connection, Date.now()),
      })),
    'admin.kick': ({ uid, device }) => kick(registry, uid, device),
    'admin.drain': () => {
      draining.start()
      return draining.status
    },
    'admin.undrain': () => {
      draining.end()
      return draining.status
    },
    'admin.drainStatus': () => draining.status,
    'admin.shed': ({ connections }) => {
      draining.shed(connections)
      return null
    },
    'admin.queues': () => queueFacts(registry.all, sendsWaiting()),
    'admin.slow': ({ by, limit }) => slowest(registry.all, by, limit, Date.now()),
    'admin.traceArm': ({ trace, target, ms }) => {
      tracing.arm(trace, target, ms)
      return null
    },
    'admin.traceRead': ({ trace }) => tracing.read(trace),
    'admin.traceDisarm': ({ trace }) => {
      tracing.disarm(trace)
      return null
    },
  }
  for (const [question, answer] of Object.entries(answers)) {
    // The asking side has the types of the same table.
    const reply = answer as (params: unknown) => unknown
    bus.answer(question, async (params) => reply(params))
  }
}

function openOf(registry: Registry, uid: UserId): Connection[] {
  const found: Connection[] = []
  registry.eachOfUser(uid, (connection) => {
    if (connection.state === 'open') found.push(connection)
  })
  return found
}

/** The session stays and the will is published [MQTT-3.14.4-3]; the device may come back at once. */
function kick(registry: Registry, uid: UserId, device: DeviceId | null): DeviceId[] {
  const closed = openOf(registry, uid).filter((connection) => device === null || connection.device === device)
  for (const connection of closed) connection.disconnect(ReasonCode.administrativeAction)
  return closed.map((connection) => connection.device)
}
