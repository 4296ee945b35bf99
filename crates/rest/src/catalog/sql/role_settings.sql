-- The settings of the roles that the login role may take on (`alter role … set x`), as far as it may set them.
select r.rolname, lower(split_part(one.setting, '=', 1)), substr(one.setting, strpos(one.setting, '=') + 1)
from pg_auth_members m
join pg_roles r on r.oid = m.roleid
cross join lateral unnest(r.rolconfig) as one (setting)
join pg_settings g on g.name = lower(split_part(one.setting, '=', 1))
where m.member = quote_ident(current_user)::regrole
  and (g.context = 'user' or has_parameter_privilege(current_user, g.name, 'set'))
