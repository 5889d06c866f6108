/** The rules of people, groups and messages, as the configuration has them. */
import type { Config } from '../config.ts'
import type { StorePolicy } from '../services/store/policy.ts'

export function policyOf(config: Config): StorePolicy {
  return {
    contactsRequired: config.contactsRequired,
    contactsMax: config.contactsPerAccountMax,
    requestCooldownMs: config.requestCooldownMs,
    groupMembersMax: config.groupMembersMax,
    roomMembersMax: config.roomMembersMax,
    editWindowMs: config.editWindowMs,
    recallWindowMs: config.recallWindowMs,
    receiptMembersMax: config.receiptMembersMax,
    mediaBytesMax: config.mediaBytesMax,
    mediaQuotaBytes: config.mediaQuotaBytes,
    mediaPartBytes: config.mediaPartBytes,
    mediaUploadsMax: config.mediaUploadsMax,
  }
}
