/** What a person says about themselves, what they set, and the account itself: found, left, taken along, ended. */
import { type TSchema, Type } from 'typebox'
import { CALL_USERS_MAX } from '../limits.ts'
import { operation, RequestId, request, Uid } from './operation.ts'
import { Changes, changesParams } from './sync.ts'

const PROFILE_NAME_CHARS_MAX = 64
const AVATAR_CHARS_MAX = 512
export const ATTRIBUTES_MAX = 32
/** Of all names and values of a profile's attributes. */
export const ATTRIBUTES_BYTES_MAX = 4096
const MINUTES_OF_DAY = 24 * 60

const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])

// ---------------------------------------------------------------- profiles

const ProfileFields = {
  name: Type.Optional(Type.String({ description: 'What the person calls themselves.' })),
  avatar: Type.Optional(Type.String({ description: 'A media id or a URL.' })),
  state: Type.String({ description: '`active`, `deactivated` or `erased`.' }),
}

/** What lists of people show of each. */
export const ProfileCard = Type.Object(ProfileFields, {
  description: 'Of friends and of those who ask: what they say of themselves.',
})

const Profile = Type.Object({
  uid: Type.String(),
  ...ProfileFields,
  attributes: Type.Record(Type.String(), Type.String()),
  kind: Type.String({ description: '`person`, `bot` or `system`.' }),
})

const profileSection = {
  'profile.get': operation({
    summary: 'Profiles of people by uid, or mine. Who is not there, or hides from strangers, is left out.',
    access: 'user',
    mutating: false,
    params: request({
      uids: Type.Optional(Type.Array(Uid, { minItems: 1, maxItems: CALL_USERS_MAX, uniqueItems: true })),
    }),
    result: Type.Object({ items: Type.Array(Profile) }),
    errors: [],
  }),
  'profile.set': operation({
    summary:
      'Change my profile: what is named changes, null removes. Friends hear of it by `contacts.changes`.',
    access: 'user',
    mutating: true,
    rate: 'costly',
    params: request({
      name: Type.Optional(orNull(Type.String({ minLength: 1, maxLength: PROFILE_NAME_CHARS_MAX }))),
      avatar: Type.Optional(
        orNull(
          Type.String({ minLength: 1, maxLength: AVATAR_CHARS_MAX, description: 'A media id or a URL.' }),
        ),
      ),
      attributes: Type.Optional(
        orNull(
          Type.Record(Type.String(), orNull(Type.String()), {
            description: `Merged by name; at most ${ATTRIBUTES_MAX} in all, and ${ATTRIBUTES_BYTES_MAX} bytes.`,
          }),
        ),
      ),
      requestId: RequestId,
    }),
    result: Profile,
    errors: ['content_refused', 'unknown_media'],
  }),
} as const

// ---------------------------------------------------------------- settings

const WHO_MAY_ADD = ['everybody', 'friendsOfFriends', 'nobody'] as const
const LAST_SEEN_TO = ['everybody', 'friends', 'nobody'] as const

const DoNotDisturb = Type.Object(
  {
    from: Type.Integer({ minimum: 0, maximum: MINUTES_OF_DAY - 1, description: 'Minute of the day.' }),
    to: Type.Integer({
      minimum: 0,
      maximum: MINUTES_OF_DAY - 1,
      description: 'Minute of the day; before `from`: of the next day.',
    }),
    timezone: Type.String({ minLength: 1, maxLength: 64, description: 'IANA zone, `Asia/Shanghai`.' }),
  },
  { additionalProperties: false, description: 'Hours without push.' },
)

/** The settings of an account, by name. */
const SETTINGS = {
  findByUid: Type.Boolean({ description: 'Strangers find me by my uid.' }),
  findByPhone: Type.Boolean({ description: 'Strangers who know my phone number find me by it.' }),
  whoMayAdd: Type.Enum([...WHO_MAY_ADD], { description: 'Who may send me contact requests.' }),
  lastSeenTo: Type.Enum([...LAST_SEEN_TO], { description: 'Who sees when I was there last.' }),
  sendReadReceipts: Type.Boolean({ description: 'Others see what I have read.' }),
  doNotDisturb: orNull(DoNotDisturb),
  language: orNull(Type.String({ minLength: 2, maxLength: 35, description: 'BCP 47, `zh-Hans`.' })),
} as const

const settable = <Schema extends TSchema>(schema: Schema) => Type.Optional(orNull(schema))

const settingsSection = {
  'settings.get': operation({
    summary: 'My settings, all of them: what I did not set stands as by default.',
    access: 'user',
    mutating: false,
    params: request({}),
    result: Type.Object(SETTINGS),
    errors: [],
  }),
  'settings.set': operation({
    summary: 'Change settings: what is named changes, null puts the default back. Answers all of them.',
    access: 'user',
    mutating: true,
    params: request({
      findByUid: settable(SETTINGS.findByUid),
      findByPhone: settable(SETTINGS.findByPhone),
      whoMayAdd: settable(SETTINGS.whoMayAdd),
      lastSeenTo: settable(SETTINGS.lastSeenTo),
      sendReadReceipts: settable(SETTINGS.sendReadReceipts),
      doNotDisturb: Type.Optional(SETTINGS.doNotDisturb),
      language: Type.Optional(SETTINGS.language),
      requestId: RequestId,
    }),
    result: Type.Object(SETTINGS),
    errors: [],
  }),
  'settings.changes': operation({
    summary: 'Settings that changed since a version, with their values now.',
    access: 'user',
    mutating: false,
    params: request(changesParams),
    result: Changes(
      Type.Object({ name: Type.String(), value: Type.Unknown({ description: 'As in `settings.get`.' }) }),
    ),
    errors: [],
  }),
} as const

// ---------------------------------------------------------------- the account

const accountSection = {
  'accounts.search': operation({
    summary:
      'Find a person by their exact uid or phone number, if their settings let them be found. Whoever may not be found is not there.',
    access: 'user',
    mutating: false,
    rate: 'costly',
    params: request({
      query: Type.String({ minLength: 1, maxLength: 64, description: 'A uid, or `+8613800000001`.' }),
    }),
    result: Type.Object({
      items: Type.Array(Profile, { description: 'One, or none. Never with a phone number.' }),
    }),
    errors: [],
  }),
  'accounts.deactivate': operation({
    summary:
      'Rest my account: every login and session ends, and nobody can write to me. The next login takes it up again.',
    access: 'user',
    mutating: true,
    rate: 'rare',
    params: request({ requestId: RequestId }),
    result: Type.Object({}),
    errors: [],
  }),
  'accounts.export': operation({
    summary: 'Where everything that is mine can be fetched as one archive, with the same token.',
    access: 'user',
    mutating: false,
    rate: 'rare',
    params: request({}),
    result: Type.Object({
      url: Type.String({ description: 'GET it with `Authorization: Bearer`: a .tar.gz of JSON lines.' }),
    }),
    errors: [],
  }),
  'accounts.erase': operation({
    summary:
      'End my account for ever: every login ends now; contacts, groups and the content of all my messages go within minutes. The uid is never given again.',
    access: 'user',
    mutating: true,
    rate: 'rare',
    params: request({
      confirm: Type.String({ minLength: 1, maxLength: 64, description: 'My uid, to be sure.' }),
      requestId: RequestId,
    }),
    result: Type.Object({}),
    errors: [],
  }),
} as const

export const profileOperations = { ...profileSection, ...settingsSection, ...accountSection } as const
