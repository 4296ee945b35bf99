-- How views are defined. $1: the exposed schemas, $2: the extra search path, whose views may lie between.
select c.oid, n.nspname = any ($1::text[]) as exposed, r.ev_action::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_rewrite r on r.ev_class = c.oid and r.rulename = '_RETURN'
where c.relkind in ('v', 'm')
  and n.nspname = any ($1::text[] || $2::text[])
