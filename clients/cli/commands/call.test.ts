import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findOperation } from '../../../protocol/catalogue/catalogue.ts'
import { readFields } from './call.ts'

const fieldsOf = (name: string, ...fields: string[]) => readFields(findOperation(name)!, fields)

describe('fields of a call are read as their schema wants them', () => {
  test('a text stays a text, even if it looks like a number', async () => {
    expect(await fieldsOf('groups.create', 'name=42')).toEqual({ name: '42' })
  })

  test('numbers, lists and raw JSON', async () => {
    expect(await fieldsOf('groups.members', 'id=g:a', 'limit=20')).toEqual({ id: 'g:a', limit: 20 })
    expect(await fieldsOf('groups.create', 'name=g', 'members=bob,carol')).toMatchObject({
      members: ['bob', 'carol'],
    })
    expect(await fieldsOf('messages.send', 'to=bob', 'body:={"text":"a=b"}')).toEqual({
      to: 'bob',
      body: { text: 'a=b' },
    })
  })

  test.each<[string, string, unknown]>([
    ['messages.get', 'seqs=1', [1]],
    ['messages.get', 'seqs=1,3', [1, 3]],
    ['messages.get', 'seqs=[1,3]', [1, 3]],
    ['messages.delete', 'seqs=7', [7]],
    ['messages.forward', 'seqs=2,4', [2, 4]],
    ['messages.forward', 'to=bob', ['bob']],
    ['contacts.update', 'tags=work,team', ['work', 'team']],
    ['contacts.update', 'tags=null', null],
  ])('a list of %s: %s', async (name, field, value) => {
    expect(Object.values(await fieldsOf(name, field))).toEqual([value])
  })

  test.each<[string, string, unknown]>([
    ['reports.create', 'reason=spam', 'spam'],
    ['settings.set', 'whoMayAdd=nobody', 'nobody'],
    ['settings.set', 'whoMayAdd=null', null],
    ['settings.set', 'findByUid=false', false],
    ['contacts.block', 'mode=swallow', 'swallow'],
    ['groups.setRole', 'role=admin', 'admin'],
  ])('one of several words, of %s: %s', async (name, field, value) => {
    expect(Object.values(await fieldsOf(name, field))).toEqual([value])
  })

  test('the text "null" is a text where a text is taken, and :=null is the null of JSON', async () => {
    expect(await fieldsOf('contacts.update', 'remark=null')).toEqual({ remark: 'null' })
    expect(await fieldsOf('contacts.update', 'remark:=null')).toEqual({ remark: null })
  })

  test.each([
    ['messages.schedule', 'at=2026-11-30', new Date(2026, 10, 30).getTime()],
    ['messages.schedule', 'at=2026-11-30T08:00', new Date(2026, 10, 30, 8).getTime()],
    ['messages.schedule', 'at=2026-11-30T08:00Z', Date.UTC(2026, 10, 30, 8)],
    ['messages.schedule', 'at=2026-11-30T08:00+08:00', Date.UTC(2026, 10, 30)],
    ['messages.schedule', 'at=1795996800000', 1795996800000],
    ['groups.mute', 'untilMs=2026-11-30T08:00Z', Date.UTC(2026, 10, 30, 8)],
    ['conversations.update', 'mutedUntil=2026-11-30T08:00Z', Date.UTC(2026, 10, 30, 8)],
    ['messages.search', 'after=2026-11-30T08:00Z', Date.UTC(2026, 10, 30, 8)],
  ])('a time of %s: %s', async (name, field, ms) => {
    expect(Object.values(await fieldsOf(name, field))).toEqual([ms])
  })

  test('a date is no number where no time is taken', async () => {
    await expect(fieldsOf('groups.members', 'limit=2026-11-30')).rejects.toThrow('limit: a number')
  })

  test('raw JSON comes from a file, which must be JSON', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wochat-call-'))
    try {
      const path = join(folder, 'value.json')
      await writeFile(path, '{"text":"from a file"}')
      expect(await fieldsOf('messages.send', `body:=@${path}`)).toEqual({ body: { text: 'from a file' } })
      await writeFile(path, '{"text":')
      await expect(fieldsOf('messages.send', `body:=@${path}`)).rejects.toThrow(`body: ${path} is not JSON: `)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('a text that begins with @ is a text', async () => {
    expect(await fieldsOf('messages.send', 'text=@bob hello')).toEqual({ text: '@bob hello' })
  })

  test('a value may hold an equals sign and a new line', async () => {
    expect(await fieldsOf('messages.send', 'to=bob', 'text=1 = 1\n2')).toEqual({
      to: 'bob',
      text: '1 = 1\n2',
    })
  })

  test('a field that the operation does not have goes to the server, which refuses it', async () => {
    expect(await fieldsOf('groups.create', '__proto__=x')).toHaveProperty('__proto__', 'x')
  })

  test.each([
    ['groups.members', 'limit=many', 'limit: a number'],
    ['messages.send', 'body=text', 'body: not JSON'],
    ['reports.create', 'reason=fun', 'reason: one of spam, abuse, violence, sexual, illegal, other'],
    ['messages.delete', 'seqs=1,x', 'seqs: a number'],
    ['messages.schedule', 'at=tomorrow', 'at: a date such as 2026-11-30T12:00, or ms since 1970'],
    ['messages.schedule', 'at=2026-13-30', 'at: 2026-13-30 is not a time'],
    ['messages.schedule', 'at=2026-02-31', 'at: 2026-02-31 is not a time'],
    ['messages.schedule', 'at=2026-2-31', 'at: 2026-2-31 is not a time'],
    ['messages.schedule', 'at=2026-11', 'at: 2026-11 is not a time'],
    ['messages.schedule', 'at=2026-11-30 (x)', 'at: 2026-11-30 (x) is not a time'],
    ['messages.schedule', 'at=2026-11-30T25:00', 'at: 2026-11-30T25:00 is not a time'],
    ['messages.delete', 'seqs:=@nowhere.json', 'seqs: nowhere.json cannot be read: there is no such file'],
    ['messages.send', 'nothing', 'nothing: give field=value or field:=JSON'],
  ])('%s %s is refused before it is sent', async (name, field, message) => {
    await expect(fieldsOf(name, field)).rejects.toThrow(
      expect.objectContaining({ code: 'bad_request', message }),
    )
  })
})
