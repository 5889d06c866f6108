import { describe, expect, test } from 'vitest'
import { findOperation } from '../../../protocol/catalogue/catalogue.ts'
import { readFields } from './call.ts'

const fieldsOf = (name: string, ...fields: string[]) => readFields(findOperation(name)!, fields)

describe('fields of a call are read as their schema wants them', () => {
  test('a text stays a text, even if it looks like a number', () => {
    expect(fieldsOf('groups.create', 'name=42')).toEqual({ name: '42' })
  })

  test('numbers, lists and raw JSON', () => {
    expect(fieldsOf('groups.members', 'id=g:a', 'limit=20')).toEqual({ id: 'g:a', limit: 20 })
    expect(fieldsOf('groups.create', 'name=g', 'members=bob,carol')).toMatchObject({
      members: ['bob', 'carol'],
    })
    expect(fieldsOf('messages.send', 'to=bob', 'body:={"text":"a=b"}')).toEqual({
      to: 'bob',
      body: { text: 'a=b' },
    })
  })

  test('a value may hold an equals sign and a new line', () => {
    expect(fieldsOf('messages.send', 'to=bob', 'text=1 = 1\n2')).toEqual({ to: 'bob', text: '1 = 1\n2' })
  })

  test('a field that the operation does not have goes to the server, which refuses it', () => {
    expect(fieldsOf('groups.create', '__proto__=x')).toHaveProperty('__proto__', 'x')
  })

  test.each([
    ['groups.members', 'limit=many', 'limit: a number'],
    ['messages.send', 'body=text', 'body: not JSON'],
    ['messages.send', 'nothing', 'nothing: give field=value or field:=JSON'],
  ])('%s %s is refused before it is sent', (name, field, message) => {
    expect(() => fieldsOf(name, field)).toThrow(expect.objectContaining({ code: 'bad_request', message }))
  })
})
