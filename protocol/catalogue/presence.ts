/** Who is there, and who is watched. */
import { Type } from 'typebox'
import {
  PRESENCE_LEASE_MS_DEFAULT,
  PRESENCE_LEASE_MS_MAX,
  PRESENCE_LEASE_MS_MIN,
  PRESENCE_UIDS_MAX,
} from '../limits.ts'
import { Empty, GroupId, operation, request, Uid } from './operation.ts'

const WatchedUids = Type.Array(Uid, { minItems: 1, maxItems: PRESENCE_UIDS_MAX, uniqueItems: true })

const PersonPresence = Type.Object({
  uid: Type.String(),
  state: Type.Union(
    [Type.Literal('online'), Type.Literal('away'), Type.Literal('offline'), Type.Literal('unknown')],
    {
      description:
        '`away`: all connected devices are in the background. `unknown`: the caller may not see it, or there is nobody of this uid.',
    },
  ),
  lastSeen: Type.Optional(
    Type.Integer({
      description:
        'Of somebody offline: when their last device was connected, ms since 1970; to about a minute.',
    }),
  ),
})

const People = Type.Array(PersonPresence, { description: 'In the order asked.' })

export const presenceOperations = {
  'presence.get': operation({
    summary: 'Who of these people is there now.',
    access: 'user',
    mutating: false,
    params: request({ uids: WatchedUids }),
    result: Type.Object({ people: People }),
    errors: [],
  }),
  'presence.watch': operation({
    summary:
      'Who of these people is there now, and from now on each change on the live topic of this connection, until the lease or the connection ends. Called again it renews the lease.',
    access: 'user',
    mutating: false,
    params: request({
      uids: WatchedUids,
      leaseMs: Type.Optional(
        Type.Integer({
          minimum: PRESENCE_LEASE_MS_MIN,
          maximum: PRESENCE_LEASE_MS_MAX,
          default: PRESENCE_LEASE_MS_DEFAULT,
          description: 'How long changes are told.',
        }),
      ),
    }),
    result: Type.Object({
      people: People,
      until: Type.Integer({ description: 'End of the lease, ms since 1970.' }),
    }),
    errors: ['connection_required', 'too_many_watches'],
  }),
  'presence.unwatch': operation({
    summary: 'End the watches of this connection: of these people, or of all. Done twice it changes nothing.',
    access: 'user',
    mutating: false,
    params: request({ uids: Type.Optional(WatchedUids) }),
    result: Empty,
    errors: ['connection_required'],
  }),
  'presence.ofGroup': operation({
    summary:
      'Which members of a group are there now, page by page; a page may have nobody and still a next one.',
    access: 'user',
    mutating: false,
    params: request({
      id: GroupId,
      cursor: Type.Optional(
        Type.String({ pattern: '^\\d{1,15}\\.\\d{1,15}$', description: '`next` of the page before.' }),
      ),
    }),
    result: Type.Object({
      people: Type.Array(PersonPresence, { description: 'Those who are online or away.' }),
      next: Type.Optional(Type.String({ description: 'There are more members.' })),
    }),
    errors: ['unknown_group'],
  }),
} as const
