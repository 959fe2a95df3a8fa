import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byName } from 'quadrille'

test('what is made of a name is made once, also where it is null; of more than 1,000 names it is made each time', () => {
  const made: string[] = []
  const upper = byName((name) => {
    made.push(name)
    return name === 'none' ? null : name.toUpperCase()
  })
  for (let n = 0; n < 2; n++) assert.deepEqual(['a', 'none', 'b'].map(upper), ['A', null, 'B'])
  assert.deepEqual(made, ['a', 'none', 'b'])
  for (let n = made.length; n < 1_000; n++) upper(`n${n}`)
  for (let n = 0; n < 2; n++) assert.equal(upper('more'), 'MORE')
  assert.deepEqual(made.slice(1_000), ['more', 'more'])
  assert.equal(upper('n999'), 'N999')
  assert.equal(made.length, 1_002)
})
