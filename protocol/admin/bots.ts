/** Admin operations of accounts that are no people: bots, which log in with API keys, and system accounts. */
import { Type } from 'typebox'
import { DeviceIdSchema, request, Uid } from '../catalogue/operation.ts'
import { define } from './operation.ts'

export const API_KEYS_PER_BOT_MAX = 20
export const NAME_CHARS_MAX = 100
const name = (description: string) =>
  Type.String({ minLength: 1, maxLength: NAME_CHARS_MAX, pattern: '^[^\\x00-\\x1f\\x7f]+$', description })
const Name = name('What people see.')
const KeyId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'An API key, by its id.' })
const Time = (description: string) => Type.Integer({ description: `${description} ms since 1970.` })

export const botOperations = {
  addBot: define({
    summary:
      'Makes the account of a bot, or changes the one there is. It logs in with API keys and acts by the same contract as people.',
    kind: 'change',
    positional: ['uid', 'name'],
    params: request({
      uid: Uid,
      name: Name,
      open: Type.Optional(
        Type.Boolean({ description: 'Anybody may write to it, not only its friends; false if not given.' }),
      ),
    }),
    result: Type.Object({ uid: Type.String(), open: Type.Boolean() }),
    errors: ['uid_taken'],
  }),
  addSystemAccount: define({
    summary:
      'Makes an account of the operator, or changes the one there is. It writes to anybody, by broadcasts and sendAs, and nobody needs to be its friend.',
    kind: 'change',
    positional: ['uid', 'name'],
    params: request({
      uid: Uid,
      name: Name,
      replies: Type.Optional(Type.Boolean({ description: 'People may answer it; false if not given.' })),
    }),
    result: Type.Object({ uid: Type.String(), replies: Type.Boolean() }),
    errors: ['uid_taken'],
  }),
  addApiKey: define({
    summary:
      'Makes a key for a bot: its MQTT password (with the uid as username) and its HTTP bearer token, until the key is ended.',
    kind: 'change',
    positional: ['uid', 'name'],
    params: request({
      uid: Uid,
      name: name('What it is for; operators alone see it.'),
      device: Type.Optional({
        ...DeviceIdSchema,
        description: 'The device that logs in with it; `bot` if not given.',
      }),
    }),
    result: Type.Object({
      id: Type.String(),
      device: Type.String(),
      key: Type.String({ description: 'Shown this once; only its hash is kept.' }),
    }),
    errors: ['not_a_bot', 'too_many_keys'],
  }),
  apiKeys: define({
    summary: 'The keys of a bot, ended ones too. Never the keys themselves.',
    kind: 'read',
    positional: ['uid'],
    params: request({ uid: Uid }),
    result: Type.Object({
      keys: Type.Array(
        Type.Object({
          id: Type.String(),
          name: Type.String(),
          device: Type.String(),
          madeAt: Time('When it was made,'),
          endedAt: Type.Union([Time('When it was ended,'), Type.Null()]),
        }),
      ),
    }),
    errors: ['not_a_bot'],
  }),
  endApiKey: define({
    summary: 'Ends a key; connections that were opened with it close at once.',
    kind: 'change',
    positional: ['id'],
    params: request({ id: KeyId }),
    result: Type.Object({ id: Type.String(), uid: Type.String() }),
    errors: ['unknown_key'],
  }),
  removeBot: define({
    summary: 'Ends all keys of a bot and deactivates its account; what it wrote stays.',
    kind: 'change',
    positional: ['uid'],
    params: request({ uid: Uid }),
    result: Type.Object({ uid: Type.String() }),
    errors: ['not_a_bot'],
  }),
} as const
