// Reading through the query builder: filters, logic, JSON, order, pages, counts, shapes.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { answer, rows, startLibrary } from './lib/library.js'

let library

before(async () => {
  library = await startLibrary()
})

after(() => library?.stop())

/** The ids of the books that a filter leaves, in order. */
async function books(filter) {
  const found = await rows(filter(library.from('books').select('id')).order('id'))
  return found.map(({ id }) => id)
}

const filters = {
  eq: [(q) => q.eq('title', 'Frogs'), [2]],
  neq: [(q) => q.neq('genre', 'novel'), [1, 2]],
  gt: [(q) => q.gt('price', 9.9), [1]],
  gte: [(q) => q.gte('price', 9.9), [1, 3]],
  lt: [(q) => q.lt('price', 9.9), [2]],
  lte: [(q) => q.lte('price', 9.9), [2, 3]],
  like: [(q) => q.like('title', '%rs'), [3]],
  ilike: [(q) => q.ilike('title', '%ENGINES%'), [1, 4]],
  likeAllOf: [(q) => q.likeAllOf('title', ['A%', '%s']), [4]],
  likeAnyOf: [(q) => q.likeAnyOf('title', ['F%', 'S%']), [2, 3]],
  ilikeAllOf: [(q) => q.ilikeAllOf('title', ['a%', '%S']), [4]],
  ilikeAnyOf: [(q) => q.ilikeAnyOf('title', ['f%', 's%']), [2, 3]],
  regexMatch: [(q) => q.regexMatch('title', '^[EF]'), [1, 2]],
  regexIMatch: [(q) => q.regexIMatch('title', '^[ef]'), [1, 2]],
  'is null': [(q) => q.is('translator_id', null), [1, 3]],
  isDistinct: [(q) => q.isDistinct('translator_id', 3), [1, 3, 4]],
  in: [(q) => q.in('title', ['Frogs', 'Stars', 'a,"(b)']), [2, 3]],
  'in nothing': [(q) => q.in('id', []), []],
  notIn: [(q) => q.notIn('id', [1, 2]), [3, 4]],
  'contains, an array': [(q) => q.contains('tags', ['machine', 'maths']), [1]],
  'contains, a range': [(q) => q.contains('lent', '[5,6)'), [2]],
  containedBy: [(q) => q.containedBy('tags', ['machine', 'pond']), [2, 3, 4]],
  'overlaps, an array': [(q) => q.overlaps('tags', ['pond', 'maths']), [1, 2]],
  'overlaps, a range': [(q) => q.overlaps('lent', '[4,6)'), [1, 2]],
  rangeGt: [(q) => q.rangeGt('lent', '[1,5)'), [2, 4]],
  rangeGte: [(q) => q.rangeGte('lent', '[5,6)'), [2, 4]],
  rangeLt: [(q) => q.rangeLt('lent', '[9,10)'), [1, 2]],
  rangeLte: [(q) => q.rangeLte('lent', '[5,9)'), [1, 2]],
  rangeAdjacent: [(q) => q.rangeAdjacent('lent', '[9,10)'), [2, 4]],
  'textSearch on a vector': [(q) => q.textSearch('words', 'engine'), [1, 4]],
  'textSearch, plain': [(q) => q.textSearch('title', 'the apples', { type: 'plain', config: 'english' }), [4]],
  'textSearch, phrase': [(q) => q.textSearch('title', 'apples and engines', { type: 'phrase', config: 'english' }), [4]],
  'textSearch, web': [(q) => q.textSearch('title', 'engines -apples', { type: 'websearch', config: 'english' }), [1]],
  match: [(q) => q.match({ author_id: 3, genre: 'novel' }), [3, 4]],
  not: [(q) => q.not('price', 'gt', 9), [2]],
  'not in': [(q) => q.not('id', 'in', '(1,2)'), [3, 4]],
  'filter, raw': [(q) => q.filter('price', 'eq(any)', '{7,9.9}'), [2, 3]],
  or: [(q) => q.or('title.eq.Frogs,price.gt.10'), [1, 2]],
  'or of ands': [(q) => q.or('and(genre.eq.novel,price.is.null),not.and(id.gte.2)'), [1, 4]],
  'or with quoted text': [(q) => q.or('title.in.("Frogs","a,b"),title.eq."Stars"'), [2, 3]],
  'a computed field': [(q) => q.eq('headline', 'FROGS'), [2]],
}

for (const [name, [filter, expected]] of Object.entries(filters)) {
  test(`books filtered by ${name}`, async () => assert.deepEqual(await books(filter), expected))
}

test('JSON is selected, filtered and ordered by path', async () => {
  const found = library
    .from('authors')
    .select('name, site:links->web->>site, links->web->visits->1')
    .not('links->web', 'is', null)
    .order('links->web->>site', { ascending: false })
  assert.deepEqual(await rows(found), [
    { name: 'Basho', site: 'basho.example', visits: null },
    { name: 'Ada', site: 'ada.example', visits: 5 },
  ])
  const filtered = library.from('authors').select('id').eq('links->web->visits->>0', '3')
  assert.deepEqual(await rows(filtered), [{ id: 1 }])
  const contains = library.from('authors').select('id').contains('links', { web: { site: 'basho.example' } })
  assert.deepEqual(await rows(contains), [{ id: 2 }])
})

test('columns are renamed, cast and computed', async () => {
  const found = library.from('books').select('name:title, price::text, headline, tags->0').eq('id', 1)
  assert.deepEqual(await rows(found), [{ name: 'Engines', price: '12.50', headline: 'ENGINES', tags: 'machine' }])
})

test('rows are ordered by several columns, with nulls where asked', async () => {
  const nullsFirst = library.from('books').select('id').order('price', { ascending: false, nullsFirst: true })
  assert.deepEqual(await rows(nullsFirst), [{ id: 4 }, { id: 1 }, { id: 3 }, { id: 2 }])
  const several = library.from('books').select('id').order('genre').order('id', { ascending: false })
  assert.deepEqual(await rows(several), [{ id: 4 }, { id: 3 }, { id: 2 }, { id: 1 }])
})

test('a page is cut out and the rows are counted in each way', async () => {
  const page = () => library.from('books').select('id', { count: 'exact' }).order('id')
  assert.deepEqual(await answer(page().range(1, 2)), { status: 206, data: [{ id: 2 }, { id: 3 }], count: 4 })
  assert.deepEqual(await answer(page().limit(9)), {
    status: 200,
    data: [{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }],
    count: 4,
  })
  await library.sql('analyze public.books')
  for (const count of ['planned', 'estimated']) {
    const counted = library.from('books').select('*', { count, head: true })
    assert.deepEqual(await answer(counted), { status: 200, data: null, count: 4 })
  }
})

test('a page behind the last row is refused when the rows are counted', async () => {
  const behind = library.from('books').select('id', { count: 'exact' }).range(9, 12)
  assert.deepEqual(await answer(behind), {
    status: 416,
    error: {
      code: 'PGRST103',
      message: 'Requested range not satisfiable',
      details: 'An offset of 9 was requested, but there are only 4 rows.',
      hint: null,
    },
  })
  assert.deepEqual(await answer(library.from('books').select('id').range(9, 12)), { status: 200, data: [] })
})

test('one row is an object, and anything else a refusal', async () => {
  const name = (id) => library.from('authors').select('name').eq('id', id)
  assert.deepEqual(await answer(name(1).single()), { status: 200, data: { name: 'Ada' } })
  assert.deepEqual(await answer(name(9).single()), {
    status: 406,
    error: {
      code: 'PGRST116',
      message: 'Cannot coerce the result to a single JSON object',
      details: 'The result contains 0 rows',
      hint: null,
    },
  })
  assert.deepEqual(await answer(name(1).maybeSingle()), { status: 200, data: { name: 'Ada' } })
  assert.deepEqual(await answer(name(9).maybeSingle()), { status: 200, data: null })
  const several = await answer(library.from('authors').select().maybeSingle())
  assert.deepEqual([several.status, several.error.code], [406, 'PGRST116'])
})

test('rows come as csv', async () => {
  const csv = library.from('books').select('id, title, price, tags').order('id').limit(2).csv()
  assert.equal(await rows(csv), 'id,title,price,tags\n1,Engines,12.50,"{machine,maths}"\n2,Frogs,7.00,{pond}')
})

test('nulls are left out when asked', async () => {
  const stripped = library.from('books').select('id, price, lent').gte('id', 3).order('id').stripNulls()
  assert.deepEqual(await rows(stripped), [{ id: 3, price: 9.9 }, { id: 4, lent: '[10,12)' }])
})

test('the plan of a query is explained', async () => {
  const text = await rows(library.from('books').select('id').eq('id', 1).explain())
  assert.match(text, /^Aggregate {2}\(cost=/)
  const json = await rows(library.from('books').select('id').explain({ analyze: true, verbose: true, format: 'json' }))
  assert.equal(json[0].Plan['Node Type'], 'Aggregate')
  assert.equal(json[0].Plan['Actual Rows'], 1)
})

test('another schema is asked by name', async () => {
  const archive = library.service.schema('archive')
  assert.deepEqual(await answer(archive.from('papers').select()), { status: 200, data: [{ id: 1, title: 'Charter' }] })
  assert.deepEqual(await answer(archive.from('papers').insert({ id: 2 }).select()), {
    status: 201,
    data: [{ id: 2, title: null }],
  })
  assert.deepEqual(await answer(library.service.schema('vault').from('secrets').select()), {
    status: 406,
    error: {
      code: 'PGRST106',
      message: 'Invalid schema: vault',
      details: null,
      hint: 'Only the following schemas are exposed: public, graphql_public, archive',
    },
  })
})

const refusals = {
  'an unknown table': [
    (l) => l.from('boks').select(),
    404,
    {
      code: 'PGRST205',
      message: "Could not find the table 'public.boks' in the schema cache",
      details: null,
      hint: "Perhaps you meant the table 'public.books'",
    },
  ],
  'an unknown column': [
    (l) => l.from('books').select('weight'),
    400,
    { code: '42703', message: 'column books.weight does not exist', details: null, hint: null },
  ],
  'a value of the wrong type': [
    (l) => l.from('books').select().eq('id', 'one'),
    400,
    { code: '22P02', message: 'invalid input syntax for type integer: "one"', details: null, hint: null },
  ],
  'an unknown operator': [
    (l) => l.from('books').select().filter('id', 'near', 1),
    400,
    {
      code: 'PGRST100',
      message: '"failed to parse filter (near.1)" (line 1, column 1)',
      details: 'unexpected "e" expecting "not" or operator (eq, gt, ...)',
      hint: null,
    },
  ],
  'a broken tree': [
    (l) => l.from('books').select().or(''),
    400,
    {
      code: 'PGRST100',
      message: '"failed to parse logic tree (())" (line 1, column 4)',
      details:
        'unexpected ")" expecting field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)',
      hint: null,
    },
  ],
}

for (const [name, [request, status, error]] of Object.entries(refusals)) {
  test(`${name} is refused`, async () => assert.deepEqual(await answer(request(library)), { status, error }))
}
