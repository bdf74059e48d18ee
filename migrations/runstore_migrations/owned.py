"""Functions that run with the rights of the role that owns events."""

from __future__ import annotations

# The owner of events, where another role migrates, such as a superuser. Temporary tables come last,
# or a caller's own would be found first.
_SECURE = """
    DO $$
    DECLARE
        events oid := (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'events' AND n.nspname = current_schema());
        owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = events);
        caller text;
    BEGIN
        EXECUTE 'ALTER FUNCTION {function} SET search_path = '
            || quote_ident(current_schema()) || ', pg_temp';
        REVOKE ALL ON FUNCTION {function} FROM PUBLIC;
        FOR caller IN
            SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC'
                ELSE quote_ident(pg_get_userbyid(grantee)) END
            FROM pg_class, aclexplode(relacl)
            WHERE oid = events AND privilege_type = 'INSERT' AND grantee <> relowner
        LOOP
            EXECUTE 'GRANT EXECUTE ON FUNCTION {function} TO ' || caller;
        END LOOP;
        IF owner <> current_user THEN
            EXECUTE 'ALTER FUNCTION {function} OWNER TO ' || quote_ident(owner);
        END IF;
    END $$
"""


def secure(function: str) -> str:
    """The statement that binds a function, given with its argument types, to its own schema and the
    owner of events, and lets those call it who may insert events.
    """
    return _SECURE.format(function=function)
