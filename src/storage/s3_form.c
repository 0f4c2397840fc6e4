/* storage/s3_form.c: uploads by forms of browsers */
#include "storage/s3.h"

const tn_error *
tn_s3_form_upload(tn_ctx *c)
{
    return tn_s3_not_implemented(c->arena, "POST of a form");
}
