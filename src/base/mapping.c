/*-------------------------------------------------------------------------
 *
 * mapping.c
 *		Whose user mapping counts.
 *
 *-------------------------------------------------------------------------
 */
#include "base/base.h"

#include "utils/syscache.h"

Oid
stedi_mapping_find(Oid userid, Oid serverid)
{
	if (SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
							  ObjectIdGetDatum(serverid)))
		return userid;
	if (SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
							  ObjectIdGetDatum(serverid)))
		return InvalidOid;
	return STEDI_NO_MAPPING;
}
