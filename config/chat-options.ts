/** The options of people, groups and messages: what an operator decides about the chat itself. */
import { count, duration, flag } from './option.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const keep = (what: string) =>
  duration(
    0,
    { min: 0, max: 36_500 * DAY },
    `Age at which entries of ${what} are deleted for everybody; 0 keeps them.`,
  )

export const retention = {
  retentionDirectMs: keep('conversations of two people'),
  retentionSystemMs: keep('conversations with a system account'),
  retentionGroupMs: keep('groups'),
  retentionRoomMs: keep('open rooms'),
  retentionNoticeMs: keep('notice logs'),
  retentionEveryMs: duration(
    HOUR,
    { min: 1000, max: 30 * DAY },
    'From the end of one look at all conversations for old entries to the next.',
  ),
}

export const people = {
  contactsRequired: flag(true, 'Only friends may write to each other.'),
  devicesPerAccountMax: count(32, { min: 1, max: 1000 }, 'devices', 'Devices of one account.'),
  contactsPerAccountMax: count(
    5000,
    { min: 1, max: 100_000 },
    'contacts',
    'Friends, open requests and blocks of one account.',
  ),
  groupMembersMax: count(2000, { min: 2, max: 100_000 }, 'members', 'Members of one group.'),
  roomMembersMax: count(100_000, { min: 2, max: 1_000_000 }, 'members', 'Members of one open room.'),
  requestCooldownMs: duration(
    DAY,
    { min: 0, max: 365 * DAY },
    'After a refused contact request, how long the same person cannot ask again.',
  ),
  editWindowMs: duration(
    48 * HOUR,
    { min: 0, max: 3650 * DAY },
    'How old a message may be when its author edits it; 0 is no limit.',
  ),
  recallWindowMs: duration(
    2 * MINUTE,
    { min: 0, max: 3650 * DAY },
    'How old a message may be when its author recalls it; 0 is no limit.',
  ),
  signalsPerSecondMax: count(
    10,
    { min: 0, max: 1000 },
    'per second',
    'Signals (typing, foreground, background) of one connection; further ones are dropped.',
  ),
  typingMembersMax: count(
    200,
    { min: 0, max: 100_000 },
    'members',
    'Members of the largest group that is told that somebody is typing.',
  ),
  offlineDelayMs: duration(
    5 * SECOND,
    { min: 0, max: 5 * MINUTE },
    'How long after the last connection of a person those who watch are told that they are offline.',
  ),
  costlyCallsPerMinuteMax: count(
    30,
    { min: 0, max: 1_000_000 },
    'per minute',
    'Calls of the class `costly`, such as a search, of one account; 0 for no limit.',
  ),
  rareCallsPerHourMax: count(
    10,
    { min: 0, max: 1_000_000 },
    'per hour',
    'Calls of the class `rare`, such as an export, of one account; 0 for no limit.',
  ),
  receiptMembersMax: count(
    500,
    { min: 0, max: 100_000 },
    'members',
    'Members of the largest group that says who has read a message.',
  ),
}
