import { expect, test } from 'vitest'
import { letOutBy } from './let-out.ts'

/** The entry in the middle of a larger buffer, as a node gets it. */
function outOf(entry: object): readonly string[] {
  const json = Buffer.from(JSON.stringify(entry))
  const around = Buffer.from('{"kind":"group"}')
  return letOutBy(Buffer.concat([around, json, around]), around.length, around.length + json.length)
}

test('entries that remove, ban or tell of a leaving name whom they let out', () => {
  expect(outOf({ kind: 'group', type: 'removed', body: { members: ['ann', 'ben'] } })).toEqual(['ann', 'ben'])
  expect(outOf({ kind: 'group', type: 'banned', body: { uid: 'ann', until: 1 } })).toEqual(['ann'])
  expect(outOf({ kind: 'group', type: 'left', body: { uid: 'ben' } })).toEqual(['ben'])
})

test('other entries of a group let nobody out', () => {
  expect(outOf({ kind: 'group', type: 'added', body: { members: ['ann'] } })).toEqual([])
  expect(outOf({ kind: 'group', type: 'unbanned', body: { uid: 'ann' } })).toEqual([])
})

test('nothing that people write lets anybody out', () => {
  const entry = { kind: 'group', type: 'removed', body: { members: ['ann'] } }
  const body = { text: JSON.stringify(entry), custom: entry }
  expect(outOf({ kind: 'message', type: 'custom:x', body })).toEqual([])
})
