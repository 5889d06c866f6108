/** The options of people, groups and messages: what an operator decides about the chat itself. */
import { count, duration, flag } from './option.ts'

const MINUTE = 60 * 1000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

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
