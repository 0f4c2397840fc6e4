/* images/transform.c: what libvips is told to do */
#include "images/transform.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <vips/vector.h>
#include <vips/vips.h>

#include "images/layout.h"

#define AVIF_EFFORT 2 /* of 0 to 9: the encoder is slow, and somebody waits */

/* What is read. The names are of the classes of loaders, each for a file, a buffer and a stream. */
static const struct reader {
    const char *class, *loader; /* loader: the beginning of vips_foreign_find_load_source() */
    tn_image_format format;
} readers[] = {
    {"VipsForeignLoadJpeg", "VipsForeignLoadJpeg", TN_IMAGE_JPEG},
    {"VipsForeignLoadPng", "VipsForeignLoadPng", TN_IMAGE_PNG},
    {"VipsForeignLoadWebp", "VipsForeignLoadWebp", TN_IMAGE_WEBP},
    {"VipsForeignLoadNsgif", "VipsForeignLoadNsgif", TN_IMAGE_GIF},
    {"VipsForeignLoadHeif", "VipsForeignLoadHeif", TN_IMAGE_AVIF},
};

/* Its decoders may be plugins, which must be there before files cannot be opened any more. */
static void
start_heif(void)
{
    void *library = dlopen("libheif.so.1", RTLD_NOW | RTLD_NOLOAD);
    int (*start)(void *);

    if (library == NULL)
        return;
    *(void **)&start = dlsym(library, "heif_init");
    if (start != NULL)
        (void)start(NULL);
}

static void
say_nothing(const char *domain, GLogLevelFlags level, const char *message, void *context)
{
    (void)domain;
    (void)level;
    (void)message;
    (void)context;
}

bool
tn_transform_start(const char *program)
{
    (void)setenv("VIPS_DISC_THRESHOLD", "64g", 1); /* nothing goes to temporary files */
    if (VIPS_INIT(program) != 0)
        return false;
    (void)g_log_set_default_handler(say_nothing, NULL);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    vips_cache_set_max_mem(0);
    vips_cache_set_max_files(0);
    vips_vector_set_enabled(FALSE); /* makes machine code at run time */
    vips_block_untrusted_set(TRUE);
    vips_operation_block_set("VipsForeignLoad", TRUE);
    for (size_t i = 0; i < TN_COUNT(readers); i++)
        vips_operation_block_set(readers[i].class, FALSE);
    start_heif();
    return true;
}

/* The format of a source, TN_IMAGE_ORIGIN when it is none of ours. */
static tn_image_format
format_of(VipsSource *source)
{
    const char *loader = vips_foreign_find_load_source(source);

    for (size_t i = 0; loader != NULL && i < TN_COUNT(readers); i++)
        if (g_str_has_prefix(loader, readers[i].loader))
            return readers[i].format;
    return TN_IMAGE_ORIGIN;
}

/* What the camera's phone calls HEIC is read like AVIF and nobody's browser shows it. */
static bool
is_hevc(VipsImage *picture)
{
    const char *compression;

    return vips_image_get_typeof(picture, "heif-compression") != 0 &&
           vips_image_get_string(picture, "heif-compression", &compression) == 0 &&
           g_strcmp0(compression, "hevc") == 0;
}

static bool
write_picture(VipsImage *picture, tn_image_format format, int quality, VipsTarget *target)
{
    switch (format) {
    case TN_IMAGE_JPEG:
        return vips_jpegsave_target(picture, target, "Q", quality, "strip", TRUE, "optimize_coding",
                                    TRUE, NULL) == 0;
    case TN_IMAGE_PNG:
        return vips_pngsave_target(picture, target, "strip", TRUE, NULL) == 0;
    case TN_IMAGE_WEBP:
        return vips_webpsave_target(picture, target, "Q", quality, "strip", TRUE, NULL) == 0;
    case TN_IMAGE_GIF:
        return vips_gifsave_target(picture, target, "strip", TRUE, NULL) == 0;
    case TN_IMAGE_AVIF:
        return vips_heifsave_target(picture, target, "Q", quality, "strip", TRUE, "effort",
                                    AVIF_EFFORT, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_AV1,
                                    NULL) == 0;
    case TN_IMAGE_ORIGIN:
    case TN_IMAGE_FORMATS:
    default:
        return false;
    }
}

static void *
remove_field(VipsImage *picture, const char *name, GValue *value, void *context)
{
    GSList **names = context;

    (void)picture;
    (void)value;
    *names = g_slist_prepend(*names, g_strdup(name));
    return NULL;
}

/* "strip" does not mean the same to all that write. Gives a copy, since others may have this one.
 */
static VipsImage *
without_metadata(VipsImage *picture)
{
    VipsImage *copy = NULL;
    GSList *names = NULL;

    if (vips_copy(picture, &copy, NULL) != 0)
        return NULL;
    (void)vips_image_map(copy, remove_field, (void *)&names);
    for (const GSList *name = names; name != NULL; name = name->next)
        (void)vips_image_remove(copy, name->data);
    g_slist_free_full(names, g_free);
    return copy;
}

/* What was found out from the header, and what is to be done. */
struct plan {
    tn_image_format format; /* of the output */
    tn_image_layout layout;
    bool has_profile; /* its colours are not sRGB's, or may be others */
};

/* Scales while it reads: a large JPEG is decoded at a fraction of its size. The orientation is
 * applied. Colours become sRGB where they are not, since the profile goes with all other metadata;
 * where they are, converting would only lose some. A picture that ends too early is an error: the
 * level must be said to the loader itself, too. */
static VipsImage *
scale(VipsSource *source, const struct plan *plan)
{
    const tn_image_layout *layout = &plan->layout;
    VipsImage *scaled = NULL, *cropped = NULL;

    if (vips_thumbnail_source(source, &scaled, layout->width, "height", layout->height, "size",
                              VIPS_SIZE_FORCE, "fail_on", VIPS_FAIL_ON_TRUNCATED, "option_string",
                              "[fail_on=truncated]", plan->has_profile ? "export_profile" : NULL,
                              "srgb", NULL) != 0)
        return NULL;
    if (layout->crop_width == layout->width && layout->crop_height == layout->height)
        return scaled;
    if (vips_extract_area(scaled, &cropped, (layout->width - layout->crop_width) / 2,
                          (layout->height - layout->crop_height) / 2, layout->crop_width,
                          layout->crop_height, NULL) != 0)
        cropped = NULL;
    g_object_unref(scaled);
    return cropped;
}

/* The header only: nothing is decoded yet. */
static tn_image_outcome
look_at(VipsSource *source, const tn_image_job *job, struct plan *plan)
{
    VipsImage *header =
        vips_image_new_from_source(source, "", "access", VIPS_ACCESS_SEQUENTIAL, NULL);
    int width, height;

    if (header == NULL)
        return TN_IMAGE_BROKEN;
    width = vips_image_get_width(header);
    height = vips_image_get_height(header);
    if (plan->format == TN_IMAGE_AVIF && is_hevc(header))
        plan->format = TN_IMAGE_JPEG;
    plan->has_profile = vips_image_get_typeof(header, VIPS_META_ICC_NAME) != 0 ||
                        vips_image_get_interpretation(header) == VIPS_INTERPRETATION_CMYK;
    if ((int64_t)width * height > job->limits.pixels) {
        g_object_unref(header);
        return TN_IMAGE_TOO_MANY_PIXELS;
    }
    plan->layout = vips_image_get_orientation_swap(header)
                       ? tn_image_lay_out(height, width, &job->wish)
                       : tn_image_lay_out(width, height, &job->wish);
    g_object_unref(header);
    return TN_IMAGE_MADE;
}

tn_image_verdict
tn_transform(const tn_image_job *job, int source_fd, int output)
{
    VipsSource *source = vips_source_new_from_descriptor(source_fd);
    VipsTarget *target = vips_target_new_to_descriptor(output);
    VipsImage *picture = NULL, *bare = NULL;
    tn_image_verdict verdict = {.outcome = TN_IMAGE_FAULT};
    struct plan plan;

    if (source == NULL || target == NULL)
        goto done;
    plan.format = format_of(source);
    verdict.outcome = TN_IMAGE_NOT_AN_IMAGE;
    if (plan.format == TN_IMAGE_ORIGIN)
        goto done;
    verdict.outcome = (int32_t)look_at(source, job, &plan);
    if (verdict.outcome != TN_IMAGE_MADE)
        goto done;
    if (job->wish.format != TN_IMAGE_ORIGIN)
        plan.format = (tn_image_format)job->wish.format;
    verdict.format = (int32_t)plan.format;
    verdict.outcome = TN_IMAGE_BROKEN;
    if (vips_source_rewind(source) != 0)
        goto done;
    picture = scale(source, &plan);
    bare = picture != NULL ? without_metadata(picture) : NULL;
    if (bare != NULL && write_picture(bare, plan.format, job->wish.quality, target))
        verdict.outcome = TN_IMAGE_MADE;
done:
    g_clear_object(&bare);
    g_clear_object(&picture);
    g_clear_object(&target);
    g_clear_object(&source);
    return verdict;
}
