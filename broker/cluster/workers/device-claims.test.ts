import { describe, expect, test } from 'vitest'
import type { ClientId, DeviceId, UserId } from '../../../protocol/ids.ts'
import { DeviceClaims } from './device-claims.ts'

const claimOf = (session: number | null, generation: number) => ({
  clientId: 'alice/phone' as ClientId,
  uid: 'alice' as UserId,
  device: 'phone' as DeviceId,
  session,
  generation,
  order: 0,
})

describe('of two claims to a device', () => {
  test('the higher generation of one stored session holds it, even if it came first', () => {
    const claims = new DeviceClaims()
    claims.claim('w1', { n: 1, claim: claimOf(7, 3) })
    expect(claims.claim('w2', { n: 1, claim: claimOf(7, 2) })).toBeNull()
    expect(claims.find('alice/phone' as ClientId)?.node).toBe('w1')
  })

  test('the later one holds it where generations do not decide, and the loser is named', () => {
    const claims = new DeviceClaims()
    claims.claim('w1', { n: 5, claim: claimOf(null, 0) })
    expect(claims.claim('w2', { n: 1, claim: claimOf(8, 1) })?.loser).toMatchObject({ node: 'w1', n: 5 })
    expect(claims.claim('w1', { n: 6, claim: claimOf(9, 1) })?.loser).toMatchObject({ node: 'w2', n: 1 })
    expect(claims.ofUser('alice' as UserId)).toEqual([{ device: 'phone', node: 'w1' }])
  })

  test('a release of an earlier one leaves the one that holds it, and a dead worker holds nothing', () => {
    const claims = new DeviceClaims()
    claims.claim('w1', { n: 1, claim: claimOf(7, 1) })
    claims.claim('w1', { n: 2, claim: claimOf(7, 2) })
    claims.release('w1', 'alice/phone' as ClientId, 1)
    claims.release('w2', 'alice/phone' as ClientId, 2)
    expect(claims.find('alice/phone' as ClientId)?.n).toBe(2)
    claims.drop('w1')
    expect(claims.find('alice/phone' as ClientId)).toBeUndefined()
    expect(claims.ofUser('alice' as UserId)).toEqual([])
  })
})
