/**
 * The operations of the admin port, once: the HTTP routes, `wochat admin` and docs/admin.md are made from this table.
 */
import { type Static, Type } from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { DeviceIdSchema, Log, request, Uid } from '../catalogue/operation.ts'
import type { ErrorCode } from '../errors.ts'
import { DEVICE_ID_PATTERN, UID_PATTERN } from '../ids.ts'
import { CLIENT_ID_CHARS_MAX } from '../limits.ts'
import { checkParams } from '../validate.ts'
import { botOperations } from './bots.ts'
import { broadcastOperations } from './broadcasts.ts'
import { importOperations } from './imports.ts'
import { moderationOperations } from './moderation.ts'
import { define } from './operation.ts'
import {
  Away,
  DeviceRow,
  DrainRow,
  EntryFacts,
  NodeRow,
  QueueRow,
  ReaderRow,
  SlowRow,
  StreamRow,
  TraceLine,
} from './rows.ts'
import { suspensionOperations } from './suspensions.ts'
import { webhookOperations } from './webhooks.ts'

export const ADMIN_COMMON_ERRORS = [
  'bad_json',
  'bad_request',
  'forbidden',
  'too_large',
  'too_deep',
  'store_away',
  'shutting_down',
  'internal',
] as const satisfies readonly ErrorCode[]

const TRACE_SECONDS_MAX = 3600
const SLOW_ROWS_MAX = 500
const READERS_MAX = 500
const NODE_CHARS_MAX = 300

const Node = Type.String({
  minLength: 1,
  maxLength: NODE_CHARS_MAX,
  description: 'A node by its id, or by its name if no other has it.',
})
const ClientIdSchema = Type.String({
  pattern: `${UID_PATTERN.slice(0, -1)}/${DEVICE_ID_PATTERN.slice(1)}`,
  description: 'A device as its client id, `{uid}/{device}`.',
})

export const ADMIN_OPERATIONS = {
  nodes: define({
    summary: 'The nodes that live, with their load.',
    kind: 'read',
    positional: [],
    params: request({}),
    result: Type.Object({
      nodes: Type.Array(NodeRow),
      warnings: Type.Array(Type.String(), { description: 'What is wrong but stops nothing.' }),
    }),
    errors: [],
  }),
  sessions: define({
    summary: 'The devices of a user: where each is connected, and what waits for those that are not.',
    kind: 'read',
    positional: ['uid'],
    params: request({ uid: Uid }),
    result: Type.Object({ uid: Type.String(), devices: Type.Array(DeviceRow), away: Away }),
    errors: ['unknown_user'],
  }),
  kick: define({
    summary: "Closes a user's connections, or those of one device. Sessions stay; the devices may come back.",
    kind: 'change',
    positional: ['uid', 'device'],
    params: request({ uid: Uid, device: Type.Optional(DeviceIdSchema) }),
    result: Type.Object({
      closed: Type.Array(Type.Object({ device: Type.String(), node: Type.String() })),
      away: Away,
    }),
    errors: ['unknown_user'],
  }),
  revoke: define({
    summary: 'Ends every login, token and session of a device; every node closes its connections.',
    kind: 'change',
    positional: ['uid', 'device'],
    params: request({ uid: Uid, device: DeviceIdSchema }),
    result: Type.Object({ revoked: Type.Literal(true) }),
    errors: ['unknown_user'],
  }),
  drain: define({
    summary:
      'Empties a node: /readyz turns red, it takes nobody any more, and its devices are sent elsewhere in steps.',
    kind: 'change',
    positional: ['node'],
    params: request({ node: Node }),
    result: DrainRow,
    errors: ['unknown_node', 'node_away'],
  }),
  undrain: define({
    summary: 'Ends a drain: the node takes connections again.',
    kind: 'change',
    positional: ['node'],
    params: request({ node: Node }),
    result: DrainRow,
    errors: ['unknown_node', 'node_away'],
  }),
  drainStatus: define({
    summary: 'How far drains are, of one node or of all.',
    kind: 'read',
    positional: ['node'],
    params: request({ node: Type.Optional(Node) }),
    result: Type.Object({ nodes: Type.Array(DrainRow), away: Away }),
    errors: ['unknown_node', 'node_away'],
  }),
  rebalance: define({
    summary: 'Nodes with more connections than the average send what is above it elsewhere, in steps.',
    kind: 'change',
    positional: [],
    params: request({
      share: Type.Optional(
        Type.Number({
          minimum: 0.01,
          maximum: 10,
          description: 'How far above the average a node must be, as a share of it; 0.1 if not given.',
        }),
      ),
    }),
    result: Type.Object({
      average: Type.Number(),
      shed: Type.Array(
        Type.Object({ node: Type.String(), connections: Type.Integer(), surplus: Type.Integer() }),
      ),
      away: Away,
    }),
    errors: [],
  }),
  queues: define({
    summary: 'What waits: sends for a commit, inboxes for their drain, jobs in streams.',
    kind: 'read',
    positional: [],
    params: request({}),
    result: Type.Object({
      nodes: Type.Array(QueueRow),
      streams: Type.Union([Type.Array(StreamRow), Type.Null()], {
        description: 'Null where there is no Redis, or where it is away.',
      }),
      away: Away,
    }),
    errors: [],
  }),
  slow: define({
    summary: 'The slowest consumers.',
    kind: 'read',
    positional: [],
    params: request({
      by: Type.Optional(
        Type.Union([Type.Literal('behind'), Type.Literal('unacked'), Type.Literal('buffer')], {
          description:
            'Most entries behind, longest without a PUBACK (if not given), or largest write buffer.',
        }),
      ),
      limit: Type.Optional(
        Type.Integer({ minimum: 1, maximum: SLOW_ROWS_MAX, description: '20 if not given.' }),
      ),
    }),
    result: Type.Object({ connections: Type.Array(SlowRow), away: Away }),
    errors: [],
  }),
  trace: define({
    summary:
      'Each step of the messages of a device or of a log, or of one message, on all nodes, as they happen.',
    kind: 'stream',
    positional: [],
    params: request({
      device: Type.Optional(ClientIdSchema),
      log: Type.Optional(Log),
      seq: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: Number.MAX_SAFE_INTEGER,
          description: 'With `log`: of this message alone, from `stored` on.',
        }),
      ),
      id: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: CLIENT_ID_CHARS_MAX,
          description: "With `log`, in place of `seq`: of the message with this id of its author's.",
        }),
      ),
      seconds: Type.Optional(
        Type.Integer({ minimum: 1, maximum: TRACE_SECONDS_MAX, description: '60 if not given.' }),
      ),
    }),
    result: TraceLine,
    errors: ['busy'],
  }),
  message: define({
    summary:
      'Who wrote an entry and when, and whether the devices of the members have acknowledged it. Never its content.',
    kind: 'read',
    positional: ['log', 'seq'],
    params: request({
      log: Log,
      seq: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'An entry of it.' }),
      limit: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: READERS_MAX,
          description: 'Members of one page; 100 if not given.',
        }),
      ),
      cursor: Type.Optional(Type.String({ maxLength: 128, description: 'Where the page before ended.' })),
    }),
    result: Type.Object({
      entry: EntryFacts,
      readers: Type.Array(ReaderRow, { description: 'Devices of the members of now who may see the entry.' }),
      cursor: Type.Optional(Type.String({ description: 'Where the next page begins, if there is one.' })),
    }),
    errors: ['unknown_log', 'unknown_entry'],
  }),
  ...webhookOperations,
  ...botOperations,
  ...broadcastOperations,
  ...importOperations,
  ...moderationOperations,
  ...suspensionOperations,
} as const

export type AdminName = keyof typeof ADMIN_OPERATIONS
export type AdminParams<Name extends AdminName> = Static<(typeof ADMIN_OPERATIONS)[Name]['params']>
export type AdminResult<Name extends AdminName> = Static<(typeof ADMIN_OPERATIONS)[Name]['result']>

export const ADMIN_NAMES = Object.keys(ADMIN_OPERATIONS) as AdminName[]

export function findAdminOperation(name: string): AdminName | undefined {
  return ADMIN_NAMES.find((known) => known === name)
}

const VALIDATORS = new Map<AdminName, Validator>()

/** The parameters of an operation, checked; refuses like `parseParams` of the catalogue. */
export function parseAdminParams<Name extends AdminName>(name: Name, params: unknown): AdminParams<Name> {
  let validator = VALIDATORS.get(name)
  if (validator === undefined) {
    validator = Compile(ADMIN_OPERATIONS[name].params) as Validator
    VALIDATORS.set(name, validator)
  }
  return checkParams(validator, params) as AdminParams<Name>
}
