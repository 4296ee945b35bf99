// Functions: how they are found and called, what they return, how they fail.
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { answer, rows, startLibrary } from './lib/library.js'

let library

before(async () => {
  library = await startLibrary()
})

after(() => library?.stop())

const shapes = {
  'a value': ['add', { a: 1, b: 2 }, 3],
  'a value, with a default': ['add', { a: 1 }, 2],
  'a set of values': ['countdown', { start: 3 }, [3, 2, 1]],
  'an empty set': ['countdown', { start: 0 }, []],
  'out parameters': ['extent', {}, { books: 4, authors: 3 }],
  'a table': ['prices', {}, [{ title: 'Engines', price: 12.5 }, { title: 'Frogs', price: 7 }, { title: 'Stars', price: 9.9 }]],
}

for (const [name, [routine, parameters, data]] of Object.entries(shapes)) {
  test(`${name} comes back from POST and from GET`, async () => {
    assert.deepEqual(await answer(library.rpc(routine, parameters)), { status: 200, data })
    assert.deepEqual(await answer(library.rpc(routine, parameters, { get: true })), { status: 200, data })
  })
}

test('a list of arguments is taken from a body, and from repeated parameters', async () => {
  assert.equal(await rows(library.rpc('joined', { words: ['a', 'b'] })), 'a-b')
  const { API_URL, ANON_KEY } = library.env
  const response = await fetch(`${API_URL}/rest/v1/rpc/joined?words=a&words=b`, { headers: { apikey: ANON_KEY } })
  assert.deepEqual([response.status, await response.json()], [200, 'a-b'])
})

test('a row comes back as an object', async () => {
  const { status, data } = await answer(library.rpc('book', { book_id: 2 }))
  assert.deepEqual([status, data.title, data.genre, data.price], [200, 'Frogs', 'poem', 7])
})

test('nothing comes back from void, but it was done', async () => {
  await rows(library.from('readers').insert({ email: 'ada' }))
  assert.deepEqual(await answer(library.rpc('visit', { reader: 'ada' })), { status: 204, data: null })
  assert.deepEqual(await rows(library.from('readers').select('visits').eq('email', 'ada')), [{ visits: 2 }])
})

test('a function that writes is refused by GET', async () => {
  assert.deepEqual(await answer(library.rpc('visit', { reader: 'ada' }, { get: true })), {
    status: 405,
    error: {
      code: '25006',
      message: 'cannot execute UPDATE in a read-only transaction',
      details: null,
      hint: null,
    },
  })
})

test('returned rows are filtered, ordered, cut, counted and given related rows', async () => {
  const found = library
    .rpc('books_of', { author: 'Clarice' }, { count: 'exact' })
    .select('title, author_id(name), covers(colour)')
    .neq('genre', 'poem')
    .order('title')
    .limit(1)
  assert.deepEqual(await answer(found), {
    status: 206,
    data: [{ title: 'Apples and engines', author_id: { name: 'Clarice' }, covers: null }],
    count: 2,
  })
})

test('returned rows come as one object, or as csv', async () => {
  const frogs = () => library.rpc('books_of', { author: 'Basho' }).select('id, title')
  assert.deepEqual(await rows(frogs().single()), { id: 2, title: 'Frogs' })
  assert.equal(await rows(frogs().csv()), 'id,title\n2,Frogs')
  assert.deepEqual(await rows(library.rpc('books_of', { author: 'Nobody' }).select().maybeSingle()), null)
})

test('rows are only counted by HEAD', async () => {
  const counted = library.rpc('books_of', { author: 'Clarice' }, { head: true, count: 'exact' })
  assert.deepEqual(await answer(counted), { status: 200, data: null, count: 2 })
})

test('a single json parameter without a name takes the whole body', async () => {
  assert.deepEqual(await rows(library.rpc('echo', { any: ['thing', null] })), { any: ['thing', null] })
})

test('more changed rows than allowed are refused', async () => {
  const discarded = await answer(library.rpc('discard', { kind: 'novel' }).maxAffected(1))
  assert.deepEqual([discarded.status, discarded.error.code, discarded.error.details], [
    400,
    'PGRST124',
    'The query affects 2 rows',
  ])
  assert.equal((await rows(library.from('books').select('id'))).length, 4)
  assert.deepEqual(await answer(library.rpc('add', { a: 1 }).maxAffected(1)), {
    status: 400,
    error: {
      code: 'PGRST128',
      message: 'Function must return SETOF or TABLE when max-affected preference is used with handling=strict',
      details: null,
      hint: null,
    },
  })
})

test('status and headers are set from within', async () => {
  const { API_URL, ANON_KEY } = library.env
  const response = await fetch(`${API_URL}/rest/v1/rpc/teapot`, { method: 'POST', headers: { apikey: ANON_KEY } })
  assert.deepEqual(
    [response.status, response.headers.get('x-tea'), await response.json()],
    [418, 'green', 'short and stout'],
  )
})

test('a function of another schema is called by its name', async () => {
  assert.deepEqual(await answer(library.service.schema('archive').rpc('age')), { status: 200, data: 99 })
})

const refusals = {
  'an unknown function': [
    (l) => l.rpc('ad', { a: 1 }),
    404,
    {
      code: 'PGRST202',
      message: 'Could not find the function public.ad(a) in the schema cache',
      details:
        'Searched for the function public.ad with parameter a or with a single unnamed json/jsonb parameter, ' +
        'but no matches were found in the schema cache.',
      hint: 'Perhaps you meant to call the function public.add',
    },
  ],
  'an unknown parameter': [
    (l) => l.rpc('add', { a: 1, c: 2 }),
    404,
    {
      code: 'PGRST202',
      message: 'Could not find the function public.add(a, c) in the schema cache',
      details:
        'Searched for the function public.add with parameters a, c or with a single unnamed json/jsonb parameter, ' +
        'but no matches were found in the schema cache.',
      hint: 'Perhaps you meant to call the function public.add(a, b)',
    },
  ],
  'an error that is raised with a status': [
    (l) => l.rpc('pay'),
    402,
    { code: 'PT402', message: 'Payment Required', details: 'Quota exceeded', hint: 'Upgrade' },
  ],
}

for (const [name, [request, status, error]] of Object.entries(refusals)) {
  test(`${name} is refused`, async () => assert.deepEqual(await answer(request(library)), { status, error }))
}

test('overloads are told apart by their parameters', async () => {
  assert.equal(await rows(library.rpc('pick', { number: 1 })), 'number')
  assert.equal(await rows(library.rpc('pick', { word: 'a' })), 'word')
})
